"""`explain` in get, query and search; unknown fields of bodies are refused by name."""

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from afterglow.api.openapi import document
from afterglow.api.v2.routes import ROUTES
from tests.wire.clients import ApiClient, CollectionClient, assert_error, assert_invalid_body
from tests.wire.search_requests import NEAR, send_request

SCAN = {
    "rows": 5,
    "matching": 5,
    "index": None,
    "method": "scan",
    "breadth": None,
    "of": None,
    "compared": 5,
    "recall": None,
    "may_lose_recall": False,
}


def check_schema(explain: dict[str, Any]) -> None:
    components = document(ROUTES)["components"]
    jsonschema.validate(explain, {"$ref": "#/components/schemas/Explanation", "components": components})


def test_get(letters: CollectionClient) -> None:
    plain = letters.post("get", where={"kind": "x"}, limit=1)
    response = letters.post("get", where={"kind": "x"}, limit=1, explain=True)
    explain = response.json()["explain"]
    check_schema(explain)
    assert response.json() == {**plain.json(), "explain": explain}
    assert {"total", "filter", "fetch"} <= set(explain["milliseconds"])
    assert explain["searches"] == [
        {"rows": 5, "matching": 2, "conditions": 1, "reads_documents": False, "neighbors": [], "reranked": []}
    ]
    assert explain["records"] == 5
    assert explain["log_position"] == int(response.headers["afterglow-log-position"])
    assert not explain["may_lose_recall"]


def test_query(letters: CollectionClient) -> None:
    body = {"query_embeddings": [[0, 0], [4, 0]], "n_results": 2}
    explain = letters.post("query", **body, explain=True).json()["explain"]
    check_schema(explain)
    (search,) = explain["searches"]
    assert search["neighbors"] == [
        {"key": "#embedding", "k": 2, "vectors": 2, "row_groups": [{**SCAN, "compared": 10}]}
    ]
    assert set(explain["milliseconds"]) >= {"total", "filter", "search", "fetch"}
    assert explain["milliseconds"]["total"] >= explain["milliseconds"]["search"] > 0
    plain = letters.post("query", **body, explain=False).json()
    assert plain == letters.post("query", **body).json()
    assert "explain" not in plain


def test_a_filter_that_reads_documents(letters: CollectionClient) -> None:
    where = {"where": {"kind": {"$in": ["x", "y"]}}, "where_document": {"$contains": "red"}}
    explain = letters.post("query", query_embeddings=[[0, 0]], **where, explain=True).json()["explain"]
    (search,) = explain["searches"]
    (group,) = search.pop("neighbors")[0]["row_groups"]
    assert search == {"rows": 5, "matching": 2, "conditions": 2, "reads_documents": True, "reranked": []}
    assert group == {**SCAN, "matching": 2, "compared": 2}


def test_search(letters: CollectionClient) -> None:
    searches: list[dict[str, Any]] = [
        {"rank": {"$sum": [NEAR, NEAR]}, "filter": {"kind": "x"}},
        {"limit": {"limit": 1}},
    ]
    result = send_request(letters, *searches, explain=True)
    explain = result.pop("explain")
    check_schema(explain)
    assert result == send_request(letters, *searches)
    first, second = explain["searches"]
    group = {**SCAN, "matching": 2, "compared": 2}
    assert first["matching"] == 2
    assert first["neighbors"] == [{"key": "#embedding", "k": 3, "vectors": 1, "row_groups": [group]}] * 2
    assert (second["matching"], second["neighbors"]) == (5, [])
    assert {"rank", "search"} <= set(explain["milliseconds"])


def test_sparse_vectors(api_client: ApiClient) -> None:
    index = {"words": {"sparse_vector": {"sparse_vector_index": {"enabled": True, "config": {}}}}}
    collection = api_client.collection(schema={"defaults": {}, "keys": index})
    vectors = [{"#type": "sparse_vector", "indices": [1, 7], "values": [1, 2]}, None]
    metadatas = [None if vector is None else {"words": vector} for vector in vectors]
    collection.add(ids=["a", "b"], embeddings=[[0], [1]], metadatas=metadatas)
    query = {"#type": "sparse_vector", "indices": [2, 7], "values": [5, 1]}
    result = send_request(collection, {"rank": {"$knn": {"query": query, "key": "words"}}}, explain=True)
    (neighbors,) = result["explain"]["searches"][0]["neighbors"]
    group = {**SCAN, "rows": 2, "matching": 2, "breadth": 1, "compared": 1}
    assert neighbors == {"key": "words", "k": 16, "vectors": 1, "row_groups": [group]}


def test_an_empty_collection(collection: CollectionClient) -> None:
    explain = collection.post("query", query_embeddings=[[1, 2]], explain=True).json()["explain"]
    check_schema(explain)
    (search,) = explain["searches"]
    assert (search["rows"], search["neighbors"][0]["row_groups"]) == (0, [])


@pytest.mark.parametrize("value", [1, "true", None])
def test_only_a_boolean(letters: CollectionClient, value: Any) -> None:
    assert letters.post("get", explain=value).status_code == 422


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("get", {}),
        ("query", {"query_embeddings": [[1, 2]]}),
        ("delete", {"ids": ["b"]}),
        ("add", {"ids": ["a"], "embeddings": [[1, 2]]}),
        ("upsert", {"ids": ["a"], "embeddings": [[1, 2]]}),
        ("update", {"ids": ["a"]}),
        ("search", {"searches": []}),
    ],
)
def test_unknown_fields_are_refused(collection: CollectionClient, operation: str, body: dict[str, Any]) -> None:
    assert_invalid_body(collection.post(operation, **body, metadata=[None]), "metadata: unknown field `metadata`")


def test_unknown_fields_of_a_search_are_refused(collection: CollectionClient) -> None:
    response = collection.post("search", searches=[{"where": {"a": 1}}])
    assert_invalid_body(response, "searches[0].where: unknown field `where`")


@pytest.mark.parametrize(
    ("method", "operation", "message"),
    [
        ("POST", "get?As_of=5", "unknown field `As_of`, expected `at`"),
        ("POST", "query?at=1&limit=5", "unknown field `limit`, expected `at`"),
        ("GET", "count?level=index_only", "unknown field `level`, expected one of `read_level`, `at`"),
        ("GET", "changes?after=0&from=2", "unknown field `from`, expected one of `after`, `limit`, `wait`"),
        ("POST", "add?at=1", "unknown field `at`, there are no fields"),
        ("POST", "conditional/get?at=1", "unknown field `at`, there are no fields"),
        ("GET", "indexing_status?" + "x" * 200, f"unknown field `{'x' * 100}`, there are no fields"),
        ("POST", "fork?%61T", "unknown field `aT`, expected `at`"),
    ],
)
def test_unknown_parameters_are_refused(letters: CollectionClient, method: str, operation: str, message: str) -> None:
    body = {"query_embeddings": [[0, 0]]} if operation.startswith("query") else {}
    sent = None if method == "GET" else body
    response = letters.api_client.request(method, f"{letters.path}/{operation}", sent)
    assert_error(response, 400, f"Failed to deserialize query string: {message}")


def test_parameters_of_other_routes_and_of_v1_are_ignored(letters: CollectionClient) -> None:
    name = letters.created["name"]
    for path in (f"{letters.database}/collections/{name}?tenant=x", f"{letters.database}/collections?order=name"):
        assert letters.api_client.request("GET", path).status_code == 200
    path = f"/api/v1/collections/{letters.created['id']}/get?tenant=default_tenant"
    assert letters.api_client.request("POST", path, {}).status_code == 200


def test_fields_of_older_clients_are_ignored(letters: CollectionClient) -> None:
    assert letters.post("get", sort="x", limit=1).json()["ids"] == ["a"]
    assert letters.post("update", ids=["z"], increment_index=True).status_code == 200


def test_v1_ignores_unknown_fields_and_explains(letters: CollectionClient) -> None:
    path = f"/api/v1/collections/{letters.created['id']}/"
    response = letters.api_client.request("POST", path + "get", {"limit": 1, "bogus": 1, "explain": True})
    assert response.json()["ids"] == ["a"]
    assert list(response.json())[-2:] == ["data", "included"]
    check_schema(response.json()["explain"])
