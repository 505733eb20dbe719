"""Commits of several collections: the bodies and the answers."""

from typing import Any

import httpx
import pytest

from tests.wire.clients import DATABASE, ApiClient, CollectionClient, assert_error

EMBEDDING = [1.0, 2.0, 3.0]


@pytest.fixture
def two(api_client: ApiClient) -> list[CollectionClient]:
    """Two collections with the record a."""
    return [api_client.collection().add(ids=["a"], embeddings=[EMBEDDING]) for _ in range(2)]


def part(collection: CollectionClient, *ids: str, **fields: Any) -> dict[str, Any]:
    payload = {"ids": list(ids), "embeddings": [EMBEDDING] * len(ids)}
    operations = [{"operation": "add", "payload": payload}] if ids else []
    return {"collection_id": collection.created["id"], "operations": operations, **fields}


def commit(api_client: ApiClient, *parts: dict[str, Any], **body: Any) -> httpx.Response:
    return api_client.request("POST", f"{DATABASE}/conditional/commit", {"collections": list(parts), **body})


def test_both_are_written_or_none(api_client: ApiClient, two: list[CollectionClient]) -> None:
    first, second = two
    body = [part(first, "b", "c", read_token=2, read_ids=["a"]), part(second, "b", read_token=2, read_ids=["a"])]
    committed = [
        {"collection_id": first.created["id"], "first_inserted_record_offset": 2, "record_count": 2},
        {"collection_id": second.created["id"], "first_inserted_record_offset": 2, "record_count": 1},
    ]
    for _ in range(2):  # the second is recognised
        assert commit(api_client, *body, nonce="n" * 20).json() == {"collections": committed}
    second.post("update", ids=["a"], metadatas=[{"v": 1}])
    refused = commit(api_client, *body)
    assert_error(refused, 409, "conditional write conflict", "ConditionalWriteConflictError")
    assert [one.records()["ids"] for one in two] == [["a", "b", "c"], ["a", "b"]]


def test_what_is_refused(api_client: ApiClient, two: list[CollectionClient]) -> None:
    first, second = two
    bodies: list[tuple[list[dict[str, Any]], dict[str, Any], int, str]] = [
        ([part(first), part(first)], {}, 400, "collections: a collection can be named only once"),
        ([part(first) | {"collection_id": "x"}], {}, 400, "Collection ID is not a valid UUIDv4"),
        (
            [part(first, "b", read_token=2), part(second, "b")],
            {"nonce": "n" * 20},
            400,
            "conditional commit with read_filters, read_queries or a nonce requires read_token",
        ),
        (
            [part(first, "b"), part(second, "b", read_token=9, read_ids=["a"])],
            {},
            400,
            "read_token: the log ends at position 1, before that of the reads",
        ),
    ]
    for parts, fields, status, message in bodies:
        assert_error(commit(api_client, *parts, **fields), status, message)
    many = commit(api_client, *[part(one, *[f"{n}" for n in range(600)]) for one in two])
    assert many.status_code == 200
    operations = [{"operation": "delete", "payload": {"ids": ["x"]}}] * 600
    too_many = commit(api_client, *[part(one) | {"operations": operations} for one in two])
    assert_error(too_many, 422, "a transaction with 1200 operations exceeds the limit of 1000: split it")
    assert commit(api_client).status_code == 422
    unknown = part(first, "z") | {"collection_id": "00000000-0000-4000-8000-000000000000"}
    assert commit(api_client, part(second, "z"), unknown).status_code == 404
    assert "z" not in second.records()["ids"]


def test_a_collection_of_another_database(api_client: ApiClient, two: list[CollectionClient]) -> None:
    api_client.request("POST", "/api/v2/tenants/default_tenant/databases", {"name": "another"})
    database = "/api/v2/tenants/default_tenant/databases/another"
    other = api_client.collection(database).add(ids=["a"], embeddings=[EMBEDDING])
    assert commit(api_client, part(two[0], "z"), part(other, "z")).status_code == 404
    assert two[0].records()["ids"] == ["a"]
