"""Get, query, count, indexing status."""

from typing import Any

import pytest

from tests.wire.clients import ApiClient, CollectionClient, assert_error, assert_invalid_body

MISSING = "00000000-0000-4000-8000-000000000000"
NOTHING: dict[str, Any] = {"ids": [], "embeddings": None, "documents": [], "uris": None, "metadatas": []}


@pytest.fixture
def filled(collection: CollectionClient) -> CollectionClient:
    return collection.add(
        ids=["a", "b", "c"],
        embeddings=[[1, 2], [3, 4], [-1, -20]],
        documents=["first", None, "third"],
        metadatas=[{"n": 1, "f": 1.5}, None, {"n": 3}],
        uris=[None, "u", None],
    )


def test_get(filled: CollectionClient) -> None:
    response = filled.post("get")
    assert list(response.json()) == ["ids", "embeddings", "documents", "uris", "metadatas", "include"]
    assert response.json() == {
        "ids": ["a", "b", "c"],
        "embeddings": None,
        "documents": ["first", None, "third"],
        "uris": None,
        "metadatas": [{"n": 1, "f": 1.5}, None, {"n": 3}],
        "include": ["documents", "metadatas"],
    }


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({"ids": None, "where": None, "where_document": None, "limit": None, "offset": None}, "abc"),
        ({"ids": ["c", "a", "a", "zz"]}, "ac"),
        ({"ids": []}, ""),
        ({"limit": 2}, "ab"),
        ({"limit": 0}, ""),
        ({"limit": 2**32 - 1, "offset": 1}, "bc"),
        ({"offset": 2**32 - 1}, ""),
        ({"ids": ["b", "c"], "offset": 1}, "c"),
        ({"where": {"n": {"$gte": 1}}}, "ac"),
        ({"where": {"n": {"$ne": 1}}}, "bc"),
        ({"where": {"n": 1}, "ids": ["c"]}, ""),
        ({"where_document": {"$contains": "ir"}, "where": {"n": 3}}, "c"),
        ({"where": {"$and": []}}, "abc"),
        ({"where": {"$or": []}}, ""),
        ({"where": {"#document": {"$regex": "^f"}}}, "a"),
        ({"sort": "x"}, "abc"),
    ],
)
def test_get_some(filled: CollectionClient, body: dict[str, Any], ids: str) -> None:
    assert filled.post("get", **body).json()["ids"] == list(ids)


def test_get_includes_what_was_asked(filled: CollectionClient) -> None:
    none = {"embeddings": None, "documents": None, "uris": None, "metadatas": None}
    ids = ["a", "b", "c"]
    assert filled.post("get", include=[]).json() == {"ids": ids, **none, "include": []}
    assert filled.post("get", include=["distances"]).json() == {"ids": ids, **none, "include": ["distances"]}
    assert filled.post("get", include=["uris", "embeddings", "uris"]).json() == {
        "ids": ids,
        **none,
        "embeddings": [[1.0, 2.0], [3.0, 4.0], [-1.0, -20.0]],
        "uris": [None, "u", None],
        "include": ["uris", "embeddings", "uris"],
    }


def test_nothing_is_an_empty_list(api_client: ApiClient, filled: CollectionClient) -> None:
    include = ["documents", "metadatas"]
    assert filled.post("get", ids=[]).json() == {**NOTHING, "include": include}
    empty = api_client.collection()
    assert empty.post("get").json() == {**NOTHING, "include": include}
    assert empty.post("get", include=["embeddings"]).json()["embeddings"] == []


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"ids": [1]}, "ids[0]: invalid type: integer `1`, expected a string"),
        ({"ids": "a"}, 'ids: invalid type: string "a", expected a sequence'),
        ({"limit": -1}, "limit: invalid value: integer `-1`, expected at least 0"),
        ({"limit": 2**32}, "limit: invalid value: integer `4294967296`, expected at most 4294967295"),
        ({"limit": 1.0}, "limit: invalid type: floating point `1.0`, expected an integer"),
        ({"limit": True}, "limit: invalid type: boolean `true`, expected an integer"),
        ({"offset": "1"}, 'offset: invalid type: string "1", expected an integer'),
        ({"include": None}, "include: invalid type: null, expected a sequence"),
        ({"include": "metadatas"}, 'include: invalid type: string "metadatas", expected a sequence'),
        *[
            (
                {"include": [name]},
                (
                    f"include[0]: unknown variant `{name}`, expected one of "
                    "`distances`, `documents`, `embeddings`, `metadatas`, `uris`"
                ),
            )
            for name in ("data", "Metadatas", "")
        ],
    ],
)
def test_wrong_shapes(filled: CollectionClient, body: dict[str, Any], what: str) -> None:
    assert_invalid_body(filled.post("get", **body), what)
    if "offset" not in body:
        renamed = {("n_results" if key == "limit" else key): value for key, value in body.items()}
        response = filled.post("query", query_embeddings=[[1, 2]], **renamed)
        assert_invalid_body(response, what.replace("limit", "n_results"))


WHERE = "Invalid where clause"
WHERE_DOCUMENT = "Invalid where document clause"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"where": {}}, WHERE),
        ({"where": []}, WHERE),
        ({"where": "x"}, WHERE),
        ({"where": 1}, WHERE),
        ({"where": False}, WHERE),
        ({"where": {"a": 1, "b": 2}}, WHERE),
        ({"where": {"a": {"$bad": 1}}}, WHERE),
        ({"where": {"a": None}}, WHERE),
        ({"where": {"a": {"$in": []}}}, WHERE),
        ({"where": {"$not": {"a": 1}}}, WHERE),
        ({"where_document": {}}, WHERE_DOCUMENT),
        ({"where_document": ""}, WHERE_DOCUMENT),
        ({"where_document": {"$contains": 1}}, WHERE_DOCUMENT),
        ({"where": {}, "where_document": {}}, WHERE),
    ],
)
def test_wrong_filters(api_client: ApiClient, filled: CollectionClient, body: dict[str, Any], text: str) -> None:
    for operation, vectors in (("get", {}), ("query", {"query_embeddings": [[1, 2]]}), ("delete", {})):
        assert_error(filled.post(operation, **vectors, **body), 400, text)
    gone = CollectionClient(api_client, filled.database, {"id": MISSING})
    assert_error(gone.post("get", **body), 404, f"Collection [{MISSING}] does not exist.")


def test_filters_that_go_too_deep(filled: CollectionClient) -> None:
    deep = b'{"$and":[' * 500 + b'{"a":1}' + b"]}" * 500
    assert filled.raw("get", b'{"where":' + deep + b"}").status_code in {200, 400}


def test_query(filled: CollectionClient) -> None:
    response = filled.post("query", query_embeddings=[[1, 1], [3, 4]], n_results=2)
    assert list(response.json()) == ["ids", "embeddings", "documents", "uris", "metadatas", "distances", "include"]
    assert response.json() == {
        "ids": [["a", "b"], ["b", "a"]],
        "embeddings": None,
        "documents": [["first", None], [None, "first"]],
        "uris": None,
        "metadatas": [[{"n": 1, "f": 1.5}, None], [None, {"n": 1, "f": 1.5}]],
        "distances": [[1.0, 13.0], [0.0, 8.0]],
        "include": ["documents", "metadatas", "distances"],
    }


def test_query_by_default_answers_ten(collection: CollectionClient) -> None:
    collection.add(ids=[str(n) for n in range(15)], embeddings=[[n] for n in range(15)])
    for options in ({}, {"n_results": None}):
        response = collection.post("query", query_embeddings=[[0]], **options)
        assert response.json()["ids"] == [[str(n) for n in range(10)]]
    assert len(collection.post("query", query_embeddings=[[0]], n_results=2**32 - 1).json()["ids"][0]) == 15
    assert collection.post("query", query_embeddings=[[0]], n_results=0).json()["distances"] == [[]]


def test_query_includes_what_was_asked(filled: CollectionClient) -> None:
    response = filled.post("query", query_embeddings=[[1, 2]], n_results=2, include=["embeddings", "uris"])
    assert response.json() == {
        "ids": [["a", "b"]],
        "embeddings": [[[1.0, 2.0], [3.0, 4.0]]],
        "documents": None,
        "uris": [[None, "u"]],
        "metadatas": None,
        "distances": None,
        "include": ["embeddings", "uris"],
    }


def test_query_finds_nothing(api_client: ApiClient, filled: CollectionClient) -> None:
    nothing: dict[str, Any] = {
        "embeddings": None,
        "documents": [[]],
        "uris": None,
        "metadatas": [[]],
        "distances": [[]],
        "include": ["documents", "metadatas", "distances"],
    }
    bodies: list[dict[str, Any]] = [
        {"where": {"n": 99}},
        {"ids": []},
        {"n_results": 0},
        {"ids": ["zz"], "where": {"n": 1}},
    ]
    for body in bodies:
        assert filled.post("query", query_embeddings=[[1, 2]], **body).json() == {"ids": [[]], **nothing}
    empty = api_client.collection()
    for query in ([1, 2], [], [1e39]):
        assert empty.post("query", query_embeddings=[query]).json() == {"ids": [[]], **nothing}
    response = filled.post("query", query_embeddings=[], include=["embeddings", "distances"])
    assert response.json() == {
        "ids": [],
        "embeddings": [],
        "documents": None,
        "uris": None,
        "metadatas": None,
        "distances": [],
        "include": ["embeddings", "distances"],
    }


@pytest.mark.parametrize(
    ("queries", "status", "text"),
    [
        (None, 422, "query_embeddings: invalid type: null, expected a sequence"),
        ("AAAA", 422, 'query_embeddings: invalid type: string "AAAA", expected a sequence'),
        (["AAAA"], 422, 'query_embeddings[0]: invalid type: string "AAAA", expected a sequence'),
        ([[1, 2], 1], 422, "query_embeddings[1]: invalid type: integer `1`, expected a sequence"),
        ([[1, "x"]], 422, 'query_embeddings[0][1]: invalid type: string "x", expected f32'),
        ([[1, True]], 422, "query_embeddings[0][1]: invalid type: boolean `true`, expected f32"),
        ([[1, None]], 422, "query_embeddings[0][1]: invalid type: null, expected f32"),
        ([[1, [2]]], 422, "query_embeddings[0][1]: invalid type: sequence, expected f32"),
        ([[1, 2], [1]], 400, "Inconsistent dimensions in provided embeddings"),
        ([[]], 400, "Collection expecting embedding with dimension of 2, got 0"),
        ([[1]], 400, "Collection expecting embedding with dimension of 2, got 1"),
    ],
)
def test_wrong_queries(filled: CollectionClient, queries: Any, status: int, text: str) -> None:
    response = filled.post("query", query_embeddings=queries)
    if status == 422:
        assert_invalid_body(response, text)
    else:
        assert_error(response, status, text)


def test_query_without_vectors(filled: CollectionClient) -> None:
    assert_invalid_body(filled.post("query", n_results=1), "missing field `query_embeddings`")


def test_query_restricted_to_ids(filled: CollectionClient) -> None:
    response = filled.post("query", query_embeddings=[[1, 2]], ids=["b", "c"])
    assert response.json()["ids"] == [["b", "c"]]
    response = filled.post("query", query_embeddings=[[1, 2]], ids=["b", "zz"])
    assert response.json()["ids"] == [["b"]]
    response = filled.post("query", query_embeddings=[[1, 2], [3, 4]], ids=["zz"])
    assert (response.status_code, response.json()["ids"]) == (200, [[], []])


@pytest.mark.parametrize("query", [[1e39, 1], [3.4e38, 3.4e38], [-1e39, 1e39]])
def test_distances_that_overflow_are_null(filled: CollectionClient, query: list[float]) -> None:
    response = filled.post("query", query_embeddings=[query]).json()
    assert sorted(response["ids"][0]) == ["a", "b", "c"]
    assert response["distances"] == [[None, None, None]]


@pytest.mark.parametrize(
    ("space", "distances"),
    [
        ("l2", {"a": 1, "b": 13, "z": 2, "n": 13}),
        ("ip", {"a": -2, "b": -6, "z": 1, "n": 4}),
        ("cosine", {"a": 0.051316738, "b": 0.010050476, "z": 1, "n": 1.9486833}),
    ],
)
def test_distances(api_client: ApiClient, space: str, distances: dict[str, float]) -> None:
    collection = api_client.collection(configuration={"hnsw": {"space": space}})
    collection.add(ids=["a", "b", "z", "n"], embeddings=[[1, 2], [3, 4], [0, 0], [-1, -2]])
    response = collection.post("query", query_embeddings=[[1, 1]]).json()
    result = dict(zip(response["ids"][0], response["distances"][0], strict=True))
    assert result == pytest.approx(distances, abs=1e-6)
    assert response["distances"][0] == sorted(response["distances"][0])


def test_count(filled: CollectionClient) -> None:
    for level in ("", "?read_level=index_and_wal", "?read_level=index_and_bounded_wal"):
        assert filled.get("count" + level).json() == 3
    assert filled.get("count?read_level=index_only").json() in {0, 3}
    for level in ("x", "", "Index_only"):
        text = (
            f"Failed to deserialize query string: read_level: unknown variant `{level}`, "
            "expected one of `index_and_wal`, `index_only`, `index_and_bounded_wal`"
        )
        assert_error(filled.get(f"count?read_level={level}"), 400, text)


def test_indexing_status(api_client: ApiClient, filled: CollectionClient) -> None:
    filled.post("delete", ids=["a", "b"])
    status = filled.get("indexing_status").json()
    assert status["total_ops"] == 5
    assert status["num_indexed_ops"] + status["num_unindexed_ops"] == 5
    assert status["op_indexing_progress"] == pytest.approx(status["num_indexed_ops"] / 5)
    assert api_client.collection().get("indexing_status").json() == {
        "op_indexing_progress": 1.0,
        "num_unindexed_ops": 0,
        "num_indexed_ops": 0,
        "total_ops": 0,
    }


def test_missing_collections(api_client: ApiClient, collection: CollectionClient) -> None:
    gone = CollectionClient(api_client, collection.database, {"id": MISSING})
    text = f"Collection [{MISSING}] does not exist."
    for response in (
        gone.post("get"),
        gone.post("query", query_embeddings=[[1]]),
        gone.post("query", query_embeddings=[]),
        gone.post("query", query_embeddings=[[1], [1, 2]]),
        gone.get("count"),
        gone.get("indexing_status"),
    ):
        assert_error(response, 404, text)
    invalid = CollectionClient(api_client, collection.database, {"id": "zz"})
    for response in (
        invalid.post("get"),
        invalid.get("count"),
        invalid.get("indexing_status"),
        invalid.get("functions/f"),
    ):
        assert_error(response, 400, "Collection ID is not a valid UUIDv4")
