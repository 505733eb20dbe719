"""Searches over the wire: expressions, groups, pages and selections."""

from typing import Any

import pytest

from tests.wire.clients import ApiClient, CollectionClient
from tests.wire.search_requests import FAR, NEAR, VECTORS, scores_of, send_request

SPARSE = {
    "defaults": {},
    "keys": {"words": {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": {}}}}},
}


def test_several_searches_and_what_they_select(letters: CollectionClient) -> None:
    result = send_request(
        letters,
        {"rank": NEAR, "limit": {"limit": 2}, "select": {"keys": ["#score", "#document", "#embedding", "#metadata"]}},
        {"filter": {"kind": "x"}, "select": {"keys": ["n", "missing", "n"]}},
        {"limit": {"offset": 4}, "select": {"keys": ["n"]}},
        {},
    )
    assert result == {
        "ids": [["a", "b"], ["a", "c"], ["e"], ["a", "b", "c", "d", "e"]],
        "documents": [["red apple", "green pear"], None, None, None],
        "embeddings": [[[0, 0], [1, 0]], None, None, None],
        "metadatas": [
            [{"kind": "x", "n": 1, "tags": ["p", "q"]}, {"kind": "y", "n": 2.5}],
            [{"n": 1}, {"n": 3}],
            [None],
            None,
        ],
        "scores": [[0, 1], None, None, None],
        "select": [["#document", "#embedding", "#metadata", "#score"], ["missing", "n"], ["n"], []],
    }


def test_nothing_is_found_where_nothing_is_asked(letters: CollectionClient, collection: CollectionClient) -> None:
    nothing: dict[str, list[Any]] = {
        "ids": [],
        "documents": [],
        "embeddings": [],
        "metadatas": [],
        "scores": [],
        "select": [],
    }
    assert send_request(letters) == nothing
    empty = send_request(collection, {"rank": NEAR, "select": {"keys": ["#score", "#embedding", "n"]}}, {})
    assert empty == {
        "ids": [[], []],
        "documents": [None, None],
        "embeddings": [[], None],
        "metadatas": [[], None],
        "scores": [[], None],
        "select": [["#embedding", "#score", "n"], []],
    }


def test_without_rank_the_score_is_the_place(letters: CollectionClient) -> None:
    assert scores_of(letters, None, filter={"kind": {"$ne": "x"}}) == {"b": 0, "d": 1, "e": 2}
    assert scores_of(letters, {}, limit={"offset": 3, "limit": 1}) == {"d": 3}
    assert send_request(letters, {"select": {"keys": ["#id"]}})["metadatas"] == [None]


@pytest.mark.parametrize(
    ("rank", "scores"),
    [
        (NEAR, {"a": 0, "b": 1, "c": 4}),
        ({"$knn": {"query": [0, 0], "limit": 0}}, {}),
        ({"$knn": {"query": [4, 0], "key": "#embedding", "limit": 2, "return_rank": True}}, {"e": 0, "d": 1}),
        # Ranks and distances together, of those that both found.
        ({"$sum": [NEAR, FAR]}, {"c": 8}),
        ({"$sub": {"left": NEAR, "right": {"$val": 1}}}, {"a": -1, "b": 0, "c": 3}),
        # A default on one side: what the other found.
        ({"$sum": [NEAR, {"$knn": {"query": [4, 0], "limit": 1, "default": 100}}]}, {"a": 100, "b": 101, "c": 104}),
        ({"$sum": [{"$knn": {"query": [0, 0], "limit": 1, "default": -7}}, FAR]}, {"e": -7, "d": -6, "c": -3}),
        # Defaults on both: what either found.
        (
            {
                "$sum": [
                    {"$knn": {"query": [0, 0], "limit": 2, "default": 50}},
                    {"$knn": {"query": [4, 0], "limit": 2, "default": 50}},
                ]
            },
            {"a": 50, "e": 50, "b": 51, "d": 51},
        ),
        ({"$val": 3}, {}),
        ({"$sum": []}, {}),
        ({"$mul": [{"$val": 2}, NEAR, {"$val": -1}]}, {"c": -8, "b": -2, "a": 0}),
        ({"$max": [NEAR, {"$val": 2}]}, {"a": 2, "b": 2, "c": 4}),
        ({"$min": [NEAR, {"$val": 2}]}, {"a": 0, "b": 1, "c": 2}),
        ({"$abs": {"$sub": {"left": {"$val": 3}, "right": NEAR}}}, {"c": 1, "b": 2, "a": 3}),
        # What is no number is passed over.
        (
            {"$max": [{"$val": 2}, {"$log": {"$sub": {"left": NEAR, "right": {"$val": 1}}}}]},
            {"a": 2, "b": 2, "c": 2},
        ),
        # Infinities have their places, and go out as null, as what is no number does, which comes last.
        ({"$div": {"left": {"$val": 1}, "right": NEAR}}, {"c": 0.25, "b": 1, "a": None}),
        ({"$log": NEAR}, {"a": None, "b": 0, "c": 1.3862944}),
        ({"$log": {"$sub": {"left": NEAR, "right": {"$val": 1}}}}, {"b": None, "c": 1.0986123, "a": None}),
        ({"$exp": {"$mul": [NEAR, {"$val": 100}]}}, {"a": 1, "b": None, "c": None}),
    ],
    ids=repr,
)
def test_expressions(letters: CollectionClient, rank: Any, scores: dict[str, float | None]) -> None:
    result = scores_of(letters, rank)
    assert list(result) == list(scores)
    assert [item is None for item in result.values()] == [item is None for item in scores.values()]
    assert [item or 0 for item in result.values()] == pytest.approx([item or 0 for item in scores.values()], rel=1e-6)


def test_reciprocal_rank_fusion_as_the_clients_write_it(letters: CollectionClient) -> None:
    def term(weight: float, query: list[float]) -> dict[str, Any]:
        knn = {"$knn": {"query": query, "key": "#embedding", "limit": 5, "return_rank": True}}
        return {"$div": {"left": {"$val": weight}, "right": {"$sum": [{"$val": 60}, knn]}}}

    fused = {"$mul": [{"$val": -1}, {"$sum": [term(0.7, [0, 0]), term(0.3, [4, 0])]}]}
    places = {"a": (0, 4), "b": (1, 3), "c": (2, 2), "d": (3, 1), "e": (4, 0)}
    expected = {name: -(0.7 / (60 + fixture) + 0.3 / (60 + other)) for name, (fixture, other) in places.items()}
    result = scores_of(letters, fused)
    assert list(result) == sorted(expected, key=expected.__getitem__)
    assert result == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("clause", "ids"),
    [
        ({"#id": "b"}, "b"),
        ({"#id": {"$eq": "nobody"}}, ""),
        ({"#id": {"$ne": "b"}}, "acde"),
        ({"#id": {"$in": ["e", "a", "nobody"]}}, "ae"),
        ({"#id": {"$nin": ["e", "a", "nobody"]}}, "bcd"),
        ({"#id": 1}, ""),
        ({"#id": {"$ne": 1}}, "abcde"),
        ({"#id": {"$gt": 1}}, ""),
        ({"#id": {"$contains": "a"}}, ""),
        ({"$and": [{"#id": {"$in": ["a", "b", "d"]}}, {"kind": "y"}]}, "bd"),
        ({"$or": [{"#id": "e"}, {"$and": [{"#id": {"$ne": "a"}}, {"#document": {"$contains": "red"}}]}]}, "ce"),
        ({"#document": {"$contains": "red"}}, "ac"),
        ({"#document": {"$not_contains": "red"}}, "bde"),
        ({"#document": {"$regex": "^(fig|green)"}}, "be"),
        ({"#document": {"$not_regex": "e"}}, "de"),
        ({"tags": {"$contains": "p"}}, "a"),
        ({"n": {"$gte": 2.5}}, "bc"),
        ({}, "abcde"),
    ],
    ids=repr,
)
def test_filters(letters: CollectionClient, clause: dict[str, Any], ids: str) -> None:
    everything = {"$knn": {"query": [0, 0], "limit": 10}}
    result = send_request(letters, {"filter": clause}, {"filter": clause, "rank": everything})
    assert result["ids"] == [list(ids), list(ids)]


def test_a_metadata_key_is_not_the_id_in_other_positions(letters: CollectionClient) -> None:
    assert letters.post("get", where={"#id": "b"}).json()["ids"] == []


def test_knn_finds_its_limit_within_the_filter(letters: CollectionClient) -> None:
    assert scores_of(letters, NEAR, filter={"kind": "y"}) == {"b": 1, "d": 9}


@pytest.mark.parametrize(
    ("keys", "aggregate", "ids"),
    [
        (["kind"], {"$min_k": {"keys": ["#score"], "k": 1}}, "abe"),
        (["kind"], {"$max_k": {"keys": ["#score"], "k": 1}}, "cde"),
        (["kind"], {"$min_k": {"keys": ["n"], "k": 1}}, "ade"),
        (["kind"], {"$max_k": {"keys": ["n"], "k": 1}}, "bce"),
        (["kind", "n"], {"$min_k": {"keys": ["#score"], "k": 1}}, "abcde"),
        (["missing"], {"$min_k": {"keys": ["missing", "#score"], "k": 2}}, "ab"),
        (["missing"], {"$max_k": {"keys": ["missing"], "k": 2}}, "ab"),
        (["kind"], {"$min_k": {"keys": ["#score"], "k": 9}}, "abcde"),
        (["tags"], {"$min_k": {"keys": ["#score"], "k": 1}}, "ab"),
    ],
    ids=repr,
)
def test_groups(letters: CollectionClient, keys: list[str], aggregate: dict[str, Any], ids: str) -> None:
    rank = {"$knn": {"query": [0, 0], "limit": 10}}
    grouped = {"rank": rank, "group_by": {"keys": keys, "aggregate": aggregate}}
    page = {**grouped, "limit": {"offset": 1, "limit": 2}}
    assert send_request(letters, grouped, page)["ids"] == [list(ids), list(ids)[1:3]]


def test_a_limit_of_nothing_and_an_offset_beyond(letters: CollectionClient) -> None:
    beyond = {"limit": {"offset": 2**32 - 1, "limit": 2**32 - 1}}
    assert send_request(letters, {"rank": NEAR, "limit": {"limit": 0}}, {"limit": {"limit": 0}})["ids"] == [[], []]
    assert send_request(letters, {"rank": NEAR, **beyond}, beyond)["ids"] == [[], []]
    everything = {"rank": {"$knn": {"query": [0, 0], "limit": 2**32 - 1}}}
    assert send_request(letters, everything)["ids"] == [list(VECTORS)]


def test_the_index_alone_has_no_tail(api_client: ApiClient) -> None:
    collection = api_client.collection().add(ids=["a"], embeddings=[[1]])
    for level, ids in (("index_only", []), ("index_and_wal", ["a"]), ("index_and_bounded_wal", ["a"])):
        assert send_request(collection, {"rank": {"$knn": {"query": [1]}}}, {}, read_level=level)["ids"] == [ids, ids]
        assert collection.get(f"count?read_level={level}").json() == len(ids)


def test_sparse_vectors(api_client: ApiClient) -> None:
    def sparse(**components: float) -> dict[str, Any]:
        return {
            "#type": "sparse_vector",
            "indices": [int(item[1:]) for item in components],
            "values": list(components.values()),
        }

    collection = api_client.collection(schema=SPARSE).add(
        ids=["a", "b", "c"],
        embeddings=[[0], [1], [2]],
        metadatas=[{"words": sparse(d1=1, d7=2)}, {"words": sparse(d7=0.5)}, {"words": sparse(d3=1)}],
    )
    words = {"$knn": {"query": sparse(d2=5, d7=1), "key": "words"}}
    assert scores_of(collection, words) == {"a": -1, "b": 0.5}
    assert scores_of(collection, words, filter={"#id": {"$ne": "a"}}) == {"b": 0.5}
    both = {"$sum": [words, {"$knn": {"query": [0], "limit": 2}}]}
    assert scores_of(collection, both) == {"a": -1, "b": 1.5}
    assert scores_of(collection, {"$knn": {"query": sparse(), "key": "words"}}) == {}
    result = send_request(collection, {"filter": {"#id": "b"}, "select": {"keys": ["words"]}})
    assert result["metadatas"] == [[{"words": sparse(d7=0.5)}]]


def test_numbers_beyond_float32_in_a_query(letters: CollectionClient) -> None:
    result = scores_of(letters, {"$knn": {"query": [1e39, 0], "limit": 2}})
    assert list(result.values()) == [None, None]
