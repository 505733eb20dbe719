"""Searches over the wire: expressions, groups, pages, selections, and every refusal."""

from typing import Any

import pytest

from tests.wire.face import CollectionFace, Face, malformed, refused

VECTORS = {"a": [0.0, 0.0], "b": [1.0, 0.0], "c": [2.0, 0.0], "d": [3.0, 0.0], "e": [4.0, 0.0]}
"""Distances 0, 1, 4, 9, 16 from the first."""
NEAR = {"$knn": {"query": [0, 0], "limit": 3}}
FAR = {"$knn": {"query": [4, 0], "limit": 3}}
SPARSE = {
    "defaults": {},
    "keys": {"words": {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": {}}}}},
}


@pytest.fixture(scope="module")
def letters(face: Face) -> CollectionFace:
    """Five records on a line, the last without metadata, the fourth without a document."""
    return face.collection().add(
        ids=list(VECTORS),
        embeddings=list(VECTORS.values()),
        documents=["red apple", "green pear", "red cherry", None, "fig"],
        metadatas=[
            {"kind": "x", "n": 1, "tags": ["p", "q"]},
            {"kind": "y", "n": 2.5},
            {"kind": "x", "n": 3},
            {"kind": "y"},
            None,
        ],
    )


def asked(collection: CollectionFace, *searches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = collection.post("search", searches=list(searches), **fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def scored(collection: CollectionFace, rank: Any, **fields: Any) -> dict[str, float | None]:
    """The scores of one search's records, in its order."""
    found = asked(collection, {"rank": rank, "select": {"keys": ["#score"]}, **fields})
    return dict(zip(found["ids"][0], found["scores"][0], strict=True))


def test_several_searches_and_what_they_select(letters: CollectionFace) -> None:
    found = asked(
        letters,
        {"rank": NEAR, "limit": {"limit": 2}, "select": {"keys": ["#score", "#document", "#embedding", "#metadata"]}},
        {"filter": {"kind": "x"}, "select": {"keys": ["n", "missing", "n"]}},
        {"limit": {"offset": 4}, "select": {"keys": ["n"]}},
        {},
    )
    assert found == {
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


def test_nothing_is_found_where_nothing_is_asked(letters: CollectionFace, collection: CollectionFace) -> None:
    nothing: dict[str, list[Any]] = {
        "ids": [],
        "documents": [],
        "embeddings": [],
        "metadatas": [],
        "scores": [],
        "select": [],
    }
    assert asked(letters) == nothing
    empty = asked(collection, {"rank": NEAR, "select": {"keys": ["#score", "#embedding", "n"]}}, {})
    assert empty == {
        "ids": [[], []],
        "documents": [None, None],
        "embeddings": [[], None],
        "metadatas": [[], None],
        "scores": [[], None],
        "select": [["#embedding", "#score", "n"], []],
    }


def test_without_rank_the_score_is_the_place(letters: CollectionFace) -> None:
    assert scored(letters, None, filter={"kind": {"$ne": "x"}}) == {"b": 0, "d": 1, "e": 2}
    assert scored(letters, {}, limit={"offset": 3, "limit": 1}) == {"d": 3}
    assert asked(letters, {"select": {"keys": ["#id"]}})["metadatas"] == [None]


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
def test_expressions(letters: CollectionFace, rank: Any, scores: dict[str, float | None]) -> None:
    found = scored(letters, rank)
    assert list(found) == list(scores)
    assert [each is None for each in found.values()] == [each is None for each in scores.values()]
    assert [each or 0 for each in found.values()] == pytest.approx([each or 0 for each in scores.values()], rel=1e-6)


def test_reciprocal_rank_fusion_as_the_clients_write_it(letters: CollectionFace) -> None:
    def term(weight: float, query: list[float]) -> dict[str, Any]:
        knn = {"$knn": {"query": query, "key": "#embedding", "limit": 5, "return_rank": True}}
        return {"$div": {"left": {"$val": weight}, "right": {"$sum": [{"$val": 60}, knn]}}}

    fused = {"$mul": [{"$val": -1}, {"$sum": [term(0.7, [0, 0]), term(0.3, [4, 0])]}]}
    places = {"a": (0, 4), "b": (1, 3), "c": (2, 2), "d": (3, 1), "e": (4, 0)}
    expected = {name: -(0.7 / (60 + one) + 0.3 / (60 + other)) for name, (one, other) in places.items()}
    found = scored(letters, fused)
    assert list(found) == sorted(expected, key=expected.__getitem__)
    assert found == pytest.approx(expected, rel=1e-6)


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
def test_filters(letters: CollectionFace, clause: dict[str, Any], ids: str) -> None:
    everything = {"$knn": {"query": [0, 0], "limit": 10}}
    found = asked(letters, {"filter": clause}, {"filter": clause, "rank": everything})
    assert found["ids"] == [list(ids), list(ids)]


def test_a_metadata_key_cannot_be_taken_for_the_id_elsewhere(letters: CollectionFace) -> None:
    assert letters.post("get", where={"#id": "b"}).json()["ids"] == []


def test_knn_finds_its_limit_within_the_filter(letters: CollectionFace) -> None:
    assert scored(letters, NEAR, filter={"kind": "y"}) == {"b": 1, "d": 9}


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
def test_groups(letters: CollectionFace, keys: list[str], aggregate: dict[str, Any], ids: str) -> None:
    rank = {"$knn": {"query": [0, 0], "limit": 10}}
    grouped = {"rank": rank, "group_by": {"keys": keys, "aggregate": aggregate}}
    page = {**grouped, "limit": {"offset": 1, "limit": 2}}
    assert asked(letters, grouped, page)["ids"] == [list(ids), list(ids)[1:3]]


def test_a_limit_of_nothing_and_an_offset_beyond(letters: CollectionFace) -> None:
    beyond = {"limit": {"offset": 2**32 - 1, "limit": 2**32 - 1}}
    assert asked(letters, {"rank": NEAR, "limit": {"limit": 0}}, {"limit": {"limit": 0}})["ids"] == [[], []]
    assert asked(letters, {"rank": NEAR, **beyond}, beyond)["ids"] == [[], []]
    everything = {"rank": {"$knn": {"query": [0, 0], "limit": 2**32 - 1}}}
    assert asked(letters, everything)["ids"] == [list(VECTORS)]


def test_the_index_alone_has_no_tail(face: Face) -> None:
    collection = face.collection().add(ids=["a"], embeddings=[[1]])
    for level, ids in (("index_only", []), ("index_and_wal", ["a"]), ("index_and_bounded_wal", ["a"])):
        assert asked(collection, {"rank": {"$knn": {"query": [1]}}}, {}, read_level=level)["ids"] == [ids, ids]
        assert collection.get(f"count?read_level={level}").json() == len(ids)


def test_sparse_vectors(face: Face) -> None:
    def sparse(**components: float) -> dict[str, Any]:
        return {
            "#type": "sparse_vector",
            "indices": [int(each[1:]) for each in components],
            "values": list(components.values()),
        }

    collection = face.collection(schema=SPARSE).add(
        ids=["a", "b", "c"],
        embeddings=[[0], [1], [2]],
        metadatas=[{"words": sparse(d1=1, d7=2)}, {"words": sparse(d7=0.5)}, {"words": sparse(d3=1)}],
    )
    words = {"$knn": {"query": sparse(d2=5, d7=1), "key": "words"}}
    assert scored(collection, words) == {"a": -1, "b": 0.5}
    assert scored(collection, words, filter={"#id": {"$ne": "a"}}) == {"b": 0.5}
    both = {"$sum": [words, {"$knn": {"query": [0], "limit": 2}}]}
    assert scored(collection, both) == {"a": -1, "b": 1.5}
    assert scored(collection, {"$knn": {"query": sparse(), "key": "words"}}) == {}
    found = asked(collection, {"filter": {"#id": "b"}, "select": {"keys": ["words"]}})
    assert found["metadatas"] == [[{"words": sparse(d7=0.5)}]]


def test_a_sparse_query_needs_an_index(letters: CollectionFace) -> None:
    answer = letters.post(
        "search", searches=[{"rank": {"$knn": {"query": {"indices": [1], "values": [1]}, "key": "n"}}}]
    )
    text = "Cannot filter using metadata key 'n' with type 'SparseVector' because indexing is disabled"
    refused(answer, 400, text)


def test_a_filter_needs_an_index(face: Face) -> None:
    off = {"string": {"string_inverted_index": {"enabled": False, "config": {}}}}
    collection = face.collection(schema={"defaults": {}, "keys": {"kind": off}})
    answer = collection.post("search", searches=[{"filter": {"kind": "x"}}])
    refused(answer, 400, "Cannot filter using metadata key 'kind' with type 'Str' because indexing is disabled")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"a": 1}, "missing field `searches`"),
        ({"searches": {}}, "searches: invalid type: map, expected a sequence"),
        ({"searches": [1]}, "searches[0]: invalid type: integer `1`, expected a map"),
        (
            {"searches": [], "read_level": "x"},
            "read_level: unknown variant `x`, expected one of `index_and_wal`, `index_only`, `index_and_bounded_wal`",
        ),
        ({"searches": [{"limit": 3}]}, "searches[0].limit: invalid type: integer `3`, expected a map"),
        (
            {"searches": [{"limit": {"limit": -1}}]},
            "searches[0].limit.limit: invalid value: integer `-1`, expected at least 0",
        ),
        (
            {"searches": [{"select": {"keys": "a"}}]},
            'searches[0].select.keys: invalid type: string "a", expected a sequence',
        ),
        ({"searches": [{}, {"filter": {"a": {"$b": 1}}}]}, "searches[1].filter: Invalid where clause"),
        ({"searches": [{"filter": 3}]}, "searches[0].filter: Invalid where clause"),
        ({"searches": [{"rank": []}]}, "searches[0].rank: invalid type: sequence, expected a map"),
        (
            {"searches": [{"rank": {"$knn": {}}}]},
            "searches[0].rank.$knn: missing field `query`",
        ),
        (
            {"searches": [{"rank": {"$knn": {"query": "text"}}}]},
            "searches[0].rank.$knn.query: data did not match any variant of untagged enum QueryVector",
        ),
        (
            {"searches": [{"rank": {"$knn": {"query": {"indices": [-1], "values": [1]}}}}]},
            "searches[0].rank.$knn.query: data did not match any variant of untagged enum QueryVector",
        ),
        (
            {"searches": [{"rank": {"$abs": {"$knn": {"query": [1], "limit": -1}}}}]},
            "searches[0].rank.$abs.$knn.limit: invalid type: integer `-1`, expected u32",
        ),
        (
            {"searches": [{"rank": {"$sum": [{"$val": 1}, {"$val": None}]}}]},
            "searches[0].rank.$sum[1].$val: invalid type: null, expected f32",
        ),
        ({"searches": [{"rank": {"$div": {"left": {"$val": 1}}}}]}, "searches[0].rank.$div: missing field `right`"),
        (
            {"searches": [{"rank": {"$val": 1, "$sum": []}}]},
            (
                "searches[0].rank: expected a map with a single key, expected one of "
                "`$abs`, `$div`, `$exp`, `$knn`, `$log`, `$max`, `$min`, `$mul`, `$sub`, `$sum`, `$val`"
            ),
        ),
        (
            {"searches": [{"rank": {"$x": 1}}]},
            (
                "searches[0].rank: unknown variant `$x`, expected one of "
                "`$abs`, `$div`, `$exp`, `$knn`, `$log`, `$max`, `$min`, `$mul`, `$sub`, `$sum`, `$val`"
            ),
        ),
        (
            {"searches": [{"group_by": {"keys": ["a"], "aggregate": {"$avg": 1}}}]},
            "searches[0].group_by.aggregate.$avg: unknown field `$avg`",
        ),
        (
            {"searches": [{"group_by": {"keys": ["a"], "aggregate": {}}}]},
            "searches[0].group_by.aggregate: expected a map with a single key, `$min_k` or `$max_k`",
        ),
        (
            {"searches": [{"group_by": {"aggregate": {"$min_k": {"keys": ["a"]}}}}]},
            "searches[0].group_by.aggregate.$min_k: missing field `k`",
        ),
    ],
    ids=repr,
)
def test_wrong_shapes(collection: CollectionFace, body: dict[str, Any], text: str) -> None:
    malformed(collection.post("search", **body), text)


def deep(levels: int) -> dict[str, Any]:
    rank: dict[str, Any] = NEAR
    for _ in range(levels - 1):
        rank = {"$abs": rank}
    return rank


WRONG_GROUPS = [
    ({"keys": ["a"]}, "group_by keys and aggregate must both be specified or both be omitted"),
    (
        {"aggregate": {"$min_k": {"keys": ["b"], "k": 1}}},
        "group_by keys and aggregate must both be specified or both be omitted",
    ),
    (
        {"keys": ["#score"], "aggregate": {"$min_k": {"keys": ["b"], "k": 1}}},
        "group_by keys must be metadata fields (cannot use #score, #document, #embedding, or #metadata)",
    ),
    ({"keys": ["a"], "aggregate": {"$max_k": {"keys": [], "k": 1}}}, "aggregate keys must not be empty"),
    ({"keys": ["a"], "aggregate": {"$max_k": {"keys": ["b"], "k": 0}}}, "aggregate k must be greater than 0"),
    (
        {"keys": ["a"], "aggregate": {"$max_k": {"keys": ["#document"], "k": 1}}},
        "aggregate keys must be metadata fields or #score (cannot use #document, #embedding, or #metadata)",
    ),
]


@pytest.mark.parametrize(("groups", "text"), WRONG_GROUPS, ids=repr)
def test_wrong_groups(collection: CollectionFace, groups: dict[str, Any], text: str) -> None:
    answer = collection.post("search", searches=[{}, {"rank": NEAR, "group_by": groups}])
    refused(answer, 400, f"Validation error: searches[1].group_by: {text}")


def test_groups_need_a_rank(collection: CollectionFace) -> None:
    grouped = {"keys": ["a"], "aggregate": {"$min_k": {"keys": ["b"], "k": 1}}}
    answer = collection.post("search", searches=[{"group_by": grouped}])
    text = "Validation error: searches[0].group_by: group_by requires rank expression to be specified"
    refused(answer, 400, text)


@pytest.mark.parametrize(
    ("rank", "text"),
    [
        ({"$val": 1e39}, "numbers must be finite float32"),
        ({"$knn": {"query": [1], "default": -1e39}}, "numbers must be finite float32"),
        ({"$knn": {"query": [1], "key": "words"}}, "a dense query searches #embedding, not 'words'"),
        (
            {"$knn": {"query": {"indices": [1], "values": [1]}}},
            "a sparse query searches a metadata key, not '#embedding'",
        ),
        (
            {"$knn": {"query": {"indices": [2, 1], "values": [1, 1]}, "key": "w"}},
            "Invalid sparse vector in KNN query: indices must be strictly ascending",
        ),
        (
            {"$knn": {"query": {"indices": [1], "values": [1, 1]}, "key": "w"}},
            "Invalid sparse vector in KNN query: 1 indices, but 2 values",
        ),
        (
            {"$knn": {"query": {"indices": [1], "values": [1e39]}, "key": "w"}},
            "Invalid sparse vector in KNN query: values must be finite float32",
        ),
        ({"$sum": [NEAR] * 257}, "a call may have 256 $knn in all"),
        (
            deep(65),
            "a rank expression may nest 64 deep, and those of a call have 4096 operators in all",
        ),
        (
            {"$sum": [{"$val": 1}] * 4096},
            "a rank expression may nest 64 deep, and those of a call have 4096 operators in all",
        ),
    ],
    ids=lambda each: repr(each)[:60],
)
def test_wrong_ranks(collection: CollectionFace, rank: Any, text: str) -> None:
    searches = [{}, {"rank": rank}]
    refused(collection.post("search", searches=searches), 400, f"Validation error: searches[1].rank: {text}")


def test_what_is_just_not_too_much(letters: CollectionFace) -> None:
    assert scored(letters, deep(64)) == {"a": 0, "b": 1, "c": 4}
    assert list(scored(letters, {"$sum": [NEAR, *[{"$val": 1}] * 4094]})) == ["a", "b", "c"]
    assert len(asked(letters, *[{}] * 256)["ids"]) == 256
    text = "Validation error: searches: a call may have 256 searches, got 257"
    refused(letters.post("search", searches=[{}] * 257), 400, text)


def test_dimensions(letters: CollectionFace, collection: CollectionFace) -> None:
    text = "Collection expecting embedding with dimension of 2, got {}"
    for query in ([], [1], [1, 2, 3]):
        answer = letters.post("search", searches=[{"rank": {"$knn": {"query": query}}}])
        refused(answer, 400, text.format(len(query)))
    assert asked(collection, {"rank": {"$knn": {"query": [1, 2, 3]}}})["ids"] == [[]]


def test_numbers_beyond_float32_in_a_query(letters: CollectionFace) -> None:
    found = scored(letters, {"$knn": {"query": [1e39, 0], "limit": 2}})
    assert list(found.values()) == [None, None]


def test_a_collection_that_is_not_there_comes_before_wrong_values(face: Face, collection: CollectionFace) -> None:
    created = {**collection.created, "id": "00000000-0000-0000-0000-00000000abcd"}
    gone = CollectionFace(face, collection.database, created)
    text = "Collection [00000000-0000-0000-0000-00000000abcd] does not exist."
    refused(gone.post("search", searches=[{"rank": {"$val": 1e39}}]), 404, text)
    refused(gone.post("search", searches=[{}]), 404, text)
    malformed(
        gone.post("search", searches=[{"rank": 1}]), "searches[0].rank: invalid type: integer `1`, expected a map"
    )
