"""Transactions as the next clients send them, and our additions to the same calls."""

from typing import Any

import httpx
import pytest

from tests.wire.clients import CollectionClient, assert_error, assert_invalid_body

EMBEDDING = [1.0, 2.0, 3.0]
CONFLICT = (409, "conditional write conflict", "ConditionalWriteConflictError")


def get(collection: CollectionClient, token: int | None = None, **body: Any) -> tuple[list[str], int]:
    """The ids of a read in a transaction, and its token."""
    response = collection.post("conditional/get", read_token=token, **body)
    assert response.status_code == 200, response.text
    return response.json()["ids"], response.json()["read_token"]


def operation(kind: str, *ids: str, **payload: Any) -> dict[str, Any]:
    if kind in {"add", "upsert"}:
        payload.setdefault("embeddings", [EMBEDDING] * len(ids))
    return {"operation": kind, "payload": {"ids": list(ids), **payload}}


def commit(collection: CollectionClient, token: int | None, *operations: dict[str, Any], **body: Any) -> httpx.Response:
    return collection.post("conditional/commit", read_token=token, operations=list(operations), **body)


def versions(collection: CollectionClient) -> dict[str, Any]:
    read = collection.records("metadatas")
    return {name: (metadata or {}).get("v") for name, metadata in zip(read["ids"], read["metadatas"], strict=True)}


@pytest.fixture
def stored(collection: CollectionClient) -> CollectionClient:
    """The records a and b, of version 1."""
    return collection.add(ids=["a", "b"], embeddings=[EMBEDDING] * 2, metadatas=[{"v": 1}, {"v": 1}])


def test_an_absent_id_is_added(collection: CollectionClient) -> None:
    ids, token = get(collection, ids=["new"])
    assert (ids, token) == ([], 1)  # never 0, which the clients refuse
    response = commit(collection, token, operation("add", "new", metadatas=[{"v": 1}]), read_ids=["new"])
    assert response.json() == {"first_inserted_record_offset": 1, "record_count": 1}
    assert response.headers["afterglow-log-position"] == "1"
    assert versions(collection) == {"new": 1}


def test_a_read_answers_as_get_does(stored: CollectionClient) -> None:
    plain = stored.post("get", ids=["a"], include=["metadatas", "embeddings"])
    response = stored.post("conditional/get", ids=["a"], include=["metadatas", "embeddings"])
    assert response.json() == plain.json() | {"read_token": 2}
    assert response.headers["afterglow-log-position"] == "1"


@pytest.mark.parametrize("write", ["add", "upsert", "update", "delete"])
@pytest.mark.parametrize("name", ["a", "absent"])
def test_a_read_id_that_was_written_since_conflicts(stored: CollectionClient, write: str, name: str) -> None:
    _, token = get(stored, ids=[name, "b"])
    stored.post(write, **operation(write, name)["payload"])
    before = versions(stored)
    response = commit(stored, token, operation("upsert", "c"), read_ids=[name, "b"])
    assert_error(response, *CONFLICT)
    assert versions(stored) == before


def test_another_id_that_was_written_since_does_not_conflict(stored: CollectionClient) -> None:
    _, token = get(stored, ids=["a"])
    stored.post("update", ids=["b"], metadatas=[{"v": 2}])
    response = commit(stored, token, operation("update", "a", metadatas=[{"v": 3}]), read_ids=["a"])
    assert response.json() == {"first_inserted_record_offset": 3, "record_count": 1}
    assert versions(stored) == {"a": 3, "b": 2}


def test_operations_apply_in_order_as_one_entry(stored: CollectionClient) -> None:
    _, token = get(stored, ids=["a", "b", "c", "d"])
    response = commit(
        stored,
        token,
        operation("delete", "a"),
        operation("add", "a", "c", metadatas=[{"v": 2}, {"v": 2}]),
        operation("update", "c", "b", metadatas=[{"v": 3}, {"v": 3}]),
        operation("upsert", "d", metadatas=[{"v": 4}]),
        read_ids=["a", "b", "c", "d"],
    )
    assert response.json() == {"first_inserted_record_offset": 2, "record_count": 6}
    assert versions(stored) == {"b": 3, "a": 2, "c": 3, "d": 4}
    assert stored.get("count").headers["afterglow-log-position"] == "2"


def test_all_reads_see_the_snapshot_of_the_first(stored: CollectionClient) -> None:
    _, token = get(stored, ids=["a"])
    stored.post("update", ids=["b"], metadatas=[{"v": 2}])
    stored.post("delete", ids=["a"])
    stored.post("add", **operation("add", "c")["payload"])
    assert get(stored, token, limit=10) == (["a", "b"], token)
    assert get(stored, token, where={"v": 1}, limit=10) == (["a", "b"], token)
    assert get(stored, token, ids=["c", "b"]) == (["b"], token)
    assert get(stored, ids=["c", "b"]) == (["b", "c"], 5)


def test_a_commit_without_reads_or_operations(stored: CollectionClient) -> None:
    response = commit(stored, None, operation("upsert", "a", metadatas=[{"v": 5}]))
    assert response.json() == {"first_inserted_record_offset": 2, "record_count": 1}
    assert commit(stored, None).json() == {"first_inserted_record_offset": None, "record_count": 0}
    assert commit(stored, 1, read_ids=["a"]).json() == {"first_inserted_record_offset": None, "record_count": 0}


def test_a_filter_protects_from_phantoms(stored: CollectionClient) -> None:
    ids, token = get(stored, where={"v": 1}, limit=10)
    stored.post("add", **operation("add", "c", metadatas=[{"v": 1}])["payload"])
    blind = commit(stored, token, operation("upsert", "x"), read_ids=ids)
    assert blind.status_code == 200  # as in Chroma: only the records that were returned
    protected = commit(stored, token, operation("upsert", "y"), read_ids=ids, read_filters=[{"where": {"v": 1}}])
    assert_error(protected, *CONFLICT)


def test_a_filter_lets_other_records_change(stored: CollectionClient) -> None:
    _, token = get(stored, where={"v": 7}, limit=10)
    stored.post("update", ids=["a"], metadatas=[{"v": 2}])
    response = commit(stored, token, operation("upsert", "y"), read_filters=[{"where": {"v": 7}}])
    assert response.json() == {"first_inserted_record_offset": 3, "record_count": 1}
    assert_error(commit(stored, token, operation("upsert", "y"), read_filters=[{"where": {"v": 1}}]), *CONFLICT)


def test_deletes_by_filter(stored: CollectionClient) -> None:
    response = commit(
        stored,
        None,
        {"operation": "delete", "payload": {"where": {"v": 1}, "ids": ["b", "absent"]}},
        operation("add", "c"),
    )
    assert response.json() == {"first_inserted_record_offset": 2, "record_count": 2}
    assert list(versions(stored)) == ["a", "c"]


def test_the_same_nonce_repeats_the_answer(stored: CollectionClient) -> None:
    _, token = get(stored, ids=["c"])
    first, second = (
        commit(stored, token, operation("add", "c"), operation("delete", "a"), read_ids=["c"], nonce="n" * 20)
        for _ in range(2)
    )
    assert first.json() == second.json() == {"first_inserted_record_offset": 2, "record_count": 2}
    assert stored.get("count").headers["afterglow-log-position"] == "2"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"read_ids": ["a"]}, "conditional commit with read_ids requires read_token"),
        ({"nonce": "n" * 20}, "conditional commit with read_filters, read_queries or a nonce requires read_token"),
        ({"read_filters": [{}]}, "conditional commit with read_filters, read_queries or a nonce requires read_token"),
        ({"read_token": 1, "nonce": "short"}, "nonce: 16 to 64 letters, digits, - and _"),
        ({"read_token": 2**63}, f"conditional read token {2**63} exceeds i64 range"),
        (
            {"read_token": 100, "read_ids": ["a"], "operations": [operation("add", "a")]},
            "read_token: the log ends at position 1, before that of the reads",
        ),
        (
            {"operations": [operation("add", "c"), {"operation": "delete", "payload": {"where": {"v": 1}}}]},
            "a delete by filter must precede the other operations of its transaction",
        ),
        (
            {"operations": [{"operation": "delete", "payload": {"ids": []}}]},
            "a delete in a transaction needs ids or a filter, and a limit only with a filter",
        ),
        (
            {"operations": [operation("add", "c", embeddings=[[1.0]])]},
            "Collection expecting embedding with dimension of 3, got 1",
        ),
    ],
)
def test_refused(stored: CollectionClient, body: dict[str, Any], message: str) -> None:
    assert_error(stored.post("conditional/commit", **{"operations": [], **body}), 400, message)


def test_a_token_that_is_no_longer_or_not_yet_a_snapshot(stored: CollectionClient) -> None:
    response = stored.post("conditional/get", ids=["a"], read_token=0)
    assert_error(response, 412, "invalid read token: log upper bound offset is 0", "StaleReadError")
    message = "read_token: the log ends at position 1, before that of the reads"
    assert_error(stored.post("conditional/get", ids=["a"], read_token=9), 400, message)


def test_schema(stored: CollectionClient) -> None:
    kinds = "`add`, `update`, `upsert`, `delete`"
    for operations, what in (
        (
            [{"operation": "drop", "payload": {}}],
            f"operations[0].operation: unknown variant `drop`, expected one of {kinds}",
        ),
        ([{"payload": {}}], "operations[0]: missing field `operation`"),
        ([operation("add", "a"), {"operation": "add", "payload": {}}], "operations[1].payload: missing field `ids`"),
        ([{"operation": "add", "payload": {"ids": ["a"]}}], "missing field `embeddings`"),
    ):
        assert_invalid_body(stored.post("conditional/commit", operations=operations), what)
    duplicated = b'{"operations": [{"operation": "delete", "payload": {"ids": ["a"], "ids": ["b"]}}]}'
    assert_invalid_body(stored.raw("conditional/commit", duplicated), "operations[0].payload: duplicate field `ids`")


def test_bounds(stored: CollectionClient) -> None:
    response = commit(stored, None, *[operation("delete", "a")] * 1_001)
    message = "a transaction with 1001 operations exceeds the limit of 1000: split it"
    assert_error(response, 422, message)
    names = [str(number) for number in range(100_001)]
    assert "100001 read_ids" in commit(stored, 2, operation("delete", "a"), read_ids=names).json()["message"]
    filters = [{"where": {"v": 1}}] * 101
    response = commit(stored, 2, operation("delete", "a"), read_filters=filters)
    assert "101 read_filters and read_queries" in response.json()["message"]
    assert "records exceeds" in commit(stored, None, operation("delete", *names)).json()["message"]


def test_an_unknown_collection_takes_precedence(stored: CollectionClient) -> None:
    unknown = stored.created["id"][:-4] + "0000"
    path = f"{stored.database}/collections/{unknown}/conditional/commit"
    response = stored.api_client.request("POST", path, {"operations": [], "read_ids": ["a"]})
    assert response.status_code == 404
