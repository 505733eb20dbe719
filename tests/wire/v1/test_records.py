"""Records over v1: the shapes of its answers, `{}` for no filter, its errors."""

from typing import Any

import pytest

from tests.wire.clients import assert_error
from tests.wire.v1.conftest import Call

MISSING = "00000000-0000-4000-8000-000000000000"


class Records:
    """The record routes of one collection."""

    def __init__(self, call: Call, created: dict[str, Any]) -> None:
        self.call = call
        self.path = f"/collections/{created['id']}"

    def post(self, operation: str, **body: Any) -> Any:
        return self.call("POST", f"{self.path}/{operation}", body)


@pytest.fixture
def records(call: Call, created: dict[str, Any]) -> Records:
    filled = Records(call, created)
    response = filled.post(
        "add",
        ids=["a", "b", "c"],
        embeddings=[[1, 2], [3, 4], [-1, -20]],
        documents=["first", None, "third"],
        metadatas=[{"n": 1}, None, {"n": 3}],
        uris=None,
    )
    assert (response.status_code, response.json()) == (201, True)
    return filled


def test_writes_answer_true(records: Records) -> None:
    for operation in ("update", "upsert"):
        response = records.post(operation, ids=["a"], embeddings=[[5, 6]], metadatas=[{"m": 2}], increment_index=True)
        assert (response.status_code, response.json()) == (200, True)
    result = records.post("get", ids=["a"], include=["embeddings", "metadatas"]).json()
    assert (result["embeddings"], result["metadatas"]) == ([[5.0, 6.0]], [{"n": 1, "m": 2}])


def test_sparse_vectors_are_what_they_are_in_v2(records: Records) -> None:
    vector = {"indices": [1, 7], "values": [0.5, 2.5]}
    assert records.post("update", ids=["b"], metadatas=[{"sv": vector}]).json() is True
    result = records.post("get", ids=["b"]).json()
    assert result["metadatas"] == [{"sv": {"#type": "sparse_vector", **vector}}]


def test_get(records: Records) -> None:
    response = records.post("get", ids=None, where={}, sort=None, limit=None, offset=None, where_document={})
    assert response.json() == {
        "ids": ["a", "b", "c"],
        "embeddings": None,
        "documents": ["first", None, "third"],
        "uris": None,
        "metadatas": [{"n": 1}, None, {"n": 3}],
        "data": None,
        "included": ["documents", "metadatas"],
    }


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({}, "abc"),
        ({"limit": 1, "offset": 1}, "b"),
        ({"where": {"n": {"$gte": 2}}, "where_document": {}}, "c"),
        ({"where": {}, "where_document": {"$contains": "ir"}}, "ac"),
        ({"ids": ["c", "a"], "where": {}}, "ac"),
        ({"ids": []}, ""),
        ({"include": None}, "abc"),
    ],
)
def test_get_some(records: Records, body: dict[str, Any], ids: str) -> None:
    assert records.post("get", **body).json()["ids"] == list(ids)


def test_data_is_left_to_the_client(records: Records) -> None:
    result = records.post("get", include=["data", "uris"]).json()
    assert (result["data"], result["uris"], result["included"]) == (None, [None] * 3, ["uris"])


def test_words_of_the_answer_in_the_data_change_nothing(records: Records) -> None:
    text = 'the text "include":["documents"]} ends so'
    records.post("add", ids=["x"], embeddings=[[0, 0]], documents=[text], metadatas=[{"include": text}])
    result = records.post("get", ids=["x"]).json()
    assert (result["documents"], result["metadatas"]) == ([text], [{"include": text}])
    assert result["included"] == ["documents", "metadatas"]


def test_query(records: Records) -> None:
    body = {"query_embeddings": [[1, 1], [3, 4]], "n_results": 2, "where": {}, "where_document": {}}
    result = records.post("query", **body, include=["distances", "metadatas"]).json()
    assert result == {
        "ids": [["a", "b"], ["b", "a"]],
        "embeddings": None,
        "documents": None,
        "uris": None,
        "metadatas": [[{"n": 1}, None], [None, {"n": 1}]],
        "distances": [[1.0, 13.0], [0.0, 8.0]],
        "data": None,
        "included": ["distances", "metadatas"],
    }
    # v1 queries know no ids, so there is nothing to be missing.
    assert records.post("query", **body, ids=["nosuch"]).json()["ids"] == result["ids"]
    assert records.post("query", query_embeddings=[[0, 0]]).json()["ids"] == [["a", "b", "c"]]


def test_delete_and_count(call: Call, records: Records) -> None:
    assert records.post("delete", ids=["a"], where={}, where_document={}).json() is None
    assert records.post("delete", where={"n": 3}, where_document={}).json() is None
    assert call("GET", records.path + "/count").json() == 1
    nothing = "You must provide either ids, where, or where_document to delete."
    assert_error(records.post("delete", where={}, where_document={}), 400, nothing)
    assert_error(records.post("delete"), 400, nothing)
    assert call("GET", records.path + "/count").json() == 1


def test_another_dimension(records: Records) -> None:
    text = "Embedding dimension 3 does not match collection dimensionality 2"
    assert_error(records.post("query", query_embeddings=[[1, 2, 3]]), 400, text, "InvalidDimension")
    assert_error(records.post("add", ids=["x"], embeddings=[[1, 2, 3]]), 400, text, "InvalidDimension")


@pytest.mark.slow
def test_a_large_query_answers_the_same(records: Records) -> None:
    result = records.post("query", query_embeddings=[[1, 1]] * 10_000, n_results=1).json()
    assert (len(result["ids"]), result["ids"][-1], result["data"]) == (10_000, ["a"], None)
    wrong = records.post("query", query_embeddings=[[1, 1, 1]] * 10_000)
    assert_error(wrong, 400, "Embedding dimension 3 does not match collection dimensionality 2", "InvalidDimension")


@pytest.mark.parametrize("operation", ["add", "update", "upsert", "get", "query", "delete"])
def test_no_such_collection(call: Call, operation: str) -> None:
    body = {"ids": ["a"], "embeddings": [[1]], "query_embeddings": [[1]]}
    response = call("POST", f"/collections/{MISSING}/{operation}", body)
    assert_error(response, 400, f"Collection {MISSING} does not exist.", "InvalidCollection")
    assert_error(call("POST", f"/collections/x/{operation}", body), 400, "Could not parse x as a UUID", "InvalidUUID")


def test_a_dropped_collection_is_gone_at_once(call: Call, created: dict[str, Any], records: Records) -> None:
    assert call("GET", records.path + "/count").json() == 3
    assert call("DELETE", f"/collections/{created['name']}").status_code == 200
    for response in (call("GET", records.path + "/count"), records.post("get"), records.post("delete", ids=["a"])):
        assert_error(response, 400, f"Collection {created['id']} does not exist.", "InvalidCollection")


@pytest.mark.parametrize(
    ("operation", "body", "status", "message"),
    [
        ("get", {"where": {"a": 1, "b": 2}}, 400, "Invalid where clause"),
        ("get", {"where_document": {"$foo": "x"}}, 400, "Invalid where document clause"),
        (
            "add",
            {"ids": ["x"], "embeddings": []},
            400,
            "Inconsistent number of IDs, embeddings, documents, URIs and metadatas",
        ),
    ],
)
def test_other_errors_are_those_of_v2(
    records: Records, operation: str, body: dict[str, Any], status: int, message: str
) -> None:
    assert_error(records.post(operation, **body), status, message)


def test_bodies_that_are_no_objects(call: Call, records: Records) -> None:
    body: Any
    for body in ([], 1, "text"):
        assert call("POST", records.path + "/get", body).status_code == 422
    assert call("POST", records.path + "/get").status_code == 400
