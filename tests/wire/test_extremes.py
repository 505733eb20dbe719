"""Dates and numbers at their extremes, in query strings and in bodies: accepted or refused, never a server error."""

from typing import Any

import pytest

from tests.wire.clients import DATABASE, ApiClient, CollectionClient

TIMES = [
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00+23:59",
    "0001-01-01",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59.999999-23:59",
    "9999-12-31T23:59:59.999999Z",
    "1969-12-31T23:59:59.999999Z",
    "2026-02-30",
    "0000-00-00",
    "10000-01-01",
    "W",
    "",
]
POSITIONS = ["0", "1", "9223372036854775807", "9223372036854775808", "9999999999999999999", "-1", "1" * 5_000]
NUMBERS: list[Any] = [
    *(0, -1, 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**31), -(2**63)),
    *(0.0, -0.0, 0.5, 1e-320, 5e-324, 1e308, -1e308, 1.7976931348623157e308, 3.5e38),
]
LITERALS = [b"1e999", b"-1e999", b"18446744073709551616", b"-9223372036854775809", b"1" * 400, b"NaN", b"Infinity"]
NUMBER_FIELDS: list[tuple[str, str]] = [
    ("get", '{"limit":%s}'),
    ("get", '{"offset":%s}'),
    ("get", '{"where":{"n":%s}}'),
    ("get", '{"where":{"n":{"$gt":%s}}}'),
    ("get", '{"where":{"n":{"$in":[%s]}}}'),
    ("query", '{"query_embeddings":[[1,2]],"n_results":%s}'),
    ("query", '{"query_embeddings":[[%s,2]]}'),
    ("query", '{"query_embeddings":[[1,2]],"where":{"n":{"$lte":%s}}}'),
    ("search", '{"searches":[{"limit":{"limit":%s}}]}'),
    ("search", '{"searches":[{"limit":{"limit":2,"offset":%s}}]}'),
    ("search", '{"searches":[{"rank":{"$knn":{"query":[1,2],"limit":%s}}}]}'),
    ("search", '{"searches":[{"rank":{"$knn":{"query":[1,%s]}}}]}'),
    ("search", '{"searches":[{"rank":{"$knn":{"query":[1,2],"default":%s}}}]}'),
    ("search", '{"searches":[{"rank":{"$mul":[{"$val":%s},{"$knn":{"query":[1,2]}}]}}]}'),
    ("search", '{"searches":[{"rank":{"$div":{"left":{"$val":1},"right":{"$val":%s}}}}]}'),
    ("search", '{"searches":[{"rank":{"$exp":{"$val":%s}}}]}'),
    ("search", '{"searches":[{"rank":{"$log":{"$val":%s}}}]}'),
    ("search", '{"searches":[{"group_by":{"keys":["n"],"aggregate":{"$min_k":{"keys":["n"],"k":%s}}}}]}'),
    ("delete", '{"where":{"n":7},"limit":%s}'),
    ("upsert", '{"ids":["x"],"embeddings":[[1,2]],"metadatas":[{"n":%s}]}'),
    ("upsert", '{"ids":["x"],"embeddings":[[1,2]],"metadatas":[{"until":%s}]}'),
    ("upsert", '{"ids":["x"],"embeddings":[[%s,2]]}'),
    ("upsert", '{"ids":["x"],"embeddings":[[1,2]],"metadatas":[{"s":{"indices":[%s],"values":[1.0]}}]}'),
    ("upsert", '{"ids":["x"],"embeddings":[[1,2]],"metadatas":[{"s":{"indices":[1],"values":[%s]}}]}'),
    ("update", '{"ids":["x"],"metadatas":[{"until":%s,"n":%s}]}'),
]
CONFIGURATION_FIELDS = [
    '{"name":"%%s","metadata":{"n":%s}}',
    '{"name":"%%s","metadata":{"hnsw:M":%s}}',
    '{"name":"%%s","metadata":{"hnsw:search_ef":%s}}',
    '{"name":"%%s","metadata":{"hnsw:resize_factor":%s}}',
    '{"name":"%%s","configuration":{"hnsw":{"ef_search":%s}}}',
    '{"name":"%%s","configuration":{"hnsw":{"max_neighbors":%s}}}',
    '{"name":"%%s","configuration":{"hnsw":{"resize_factor":%s}}}',
    '{"name":"%%s","configuration":{"hnsw":{"num_threads":%s}}}',
    '{"name":"%%s","configuration":{"spann":{"search_nprobe":%s}}}',
]


def literals() -> list[bytes]:
    return [repr(number).encode() for number in NUMBERS] + LITERALS


@pytest.fixture(scope="module")
def numbers(api_client: ApiClient) -> CollectionClient:
    collection = api_client.collection(metadata={"afterglow:ttl_key": "until"})
    return collection.add(ids=["a", "b"], embeddings=[[1, 2], [3, 4]], metadatas=[{"n": 1}, {"n": 2.5}])


@pytest.mark.parametrize("at", TIMES + POSITIONS)
def test_points_in_time_at_their_extremes(numbers: CollectionClient, at: str) -> None:
    client = numbers.api_client
    bodies: dict[str, dict[str, Any]] = {
        "get": {},
        "query": {"query_embeddings": [[1, 2]]},
        "search": {"searches": [{}]},
        "fork": {"new_name": "fork-of-an-extreme"},
    }
    for operation, body in bodies.items():
        response = client.request("POST", f"{numbers.path}/{operation}", body, params={"at": at})
        assert response.status_code in ({200, 409} if at in {"0", "1"} else {400}), response.text
        assert response.status_code == 200 or set(response.json()) == {"error", "message"}
    response = client.request("GET", numbers.path + "/count", params={"at": at})
    assert response.status_code in {200, 400}, response.text


def test_a_time_out_of_range_is_named(numbers: CollectionClient) -> None:
    for at, problem in [("9999-12-31T23:59:59-14:00", "is in the future"), ("0001-01-01T00:00:00+14:00", "is before")]:
        response = numbers.api_client.request("POST", numbers.path + "/get", {}, params={"at": at})
        assert problem in response.json()["message"]


@pytest.mark.parametrize(("operation", "template"), NUMBER_FIELDS)
def test_numbers_of_record_requests(numbers: CollectionClient, operation: str, template: str) -> None:
    for literal in literals():
        body = template.replace("%s", literal.decode()).encode()
        response = numbers.raw(operation, body)
        assert response.status_code in {200, 201, 400, 422}, (body[:200], response.text)
    assert numbers.post("get").status_code == 200


@pytest.mark.parametrize("template", CONFIGURATION_FIELDS)
def test_numbers_of_collections(api_client: ApiClient, template: str) -> None:
    for number, literal in enumerate(literals()):
        name = f"extreme-{number}-{CONFIGURATION_FIELDS.index(template)}"
        body = template.replace("%%s", name).replace("%s", literal.decode()).encode()
        response = api_client.request("POST", DATABASE + "/collections", content=body)
        assert response.status_code in {200, 400, 422}, (body[:200], response.text)
        if response.status_code == 200:
            path = f"{DATABASE}/collections/{response.json()['id']}"
            record = {"ids": ["a"], "embeddings": [[1, 2]]}
            assert api_client.request("POST", path + "/add", record).status_code == 201, body
            assert api_client.request("POST", path + "/query", {"query_embeddings": [[1, 2]]}).status_code == 200, body


@pytest.mark.parametrize("value", ["0", "4294967295", "4294967296", "9" * 30, "-1", "1e3", "", "1" * 5_000])
def test_numbers_of_query_strings(api_client: ApiClient, value: str) -> None:
    for path in ("/api/v2/tenants/default_tenant/databases", DATABASE + "/collections", "/api/v1/collections"):
        for name in ("limit", "offset"):
            response = api_client.request("GET", path, params={name: value})
            assert response.status_code in {200, 400}, response.text
