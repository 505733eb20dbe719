"""Transactions of keys with filters: what is a conflict, what is written, and tokens that tell nothing.

What others write changes none of the responses: test_others_change_nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from afterglow.auth import Role
from afterglow.collection.write import read_condition
from tests.wire.auth.auth_fixture import AppResponse, auth_fixture
from tests.wire.auth.two_owners import COLLECTIONS, HOME, WHERE, Deployment
from tests.wire.client_transactions import CLIENTS, CONFLICT, ClientTransaction

GET, COMMIT = "conditional/get", "conditional/commit"
NEAREST = {"query_embeddings": [[1, 2]]}
STALE = {
    "error": "StaleReadError",
    "message": "the snapshot of this transaction can no longer be read: run the transaction again",
}


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with auth_fixture() as fixture:
        yield Deployment(fixture)


@pytest.fixture
def shared(deployment: Deployment) -> Iterator[Deployment]:
    """One deployment with a record of each owner."""
    deployment.begin("books", None)
    for owner in "ab":
        record = {"ids": [f"{owner}1"], "embeddings": [[1, 2]], "metadatas": [{"owner": owner, "n": 1}]}
        assert deployment.ask(owner, "POST", "add", record).status == 201
    yield deployment
    deployment.end("books")


def operation(op: str, name: str, **metadata: Any) -> dict[str, Any]:
    payload = {"ids": [name]} if op == "delete" else {"ids": [name], "embeddings": [[1, 2]], "metadatas": [metadata]}
    return {"operation": op, "payload": payload}


def token(shared: Deployment, owner: str = "a") -> int:
    found = shared.ask(owner, "POST", GET, {"read_token": None}).json()["read_token"]
    assert type(found) is int
    return found


def commit(shared: Deployment, *operations: dict[str, Any], **fields: Any) -> AppResponse:
    return shared.ask("a", "POST", COMMIT, {"operations": operations, **fields})


def owned(shared: Deployment) -> dict[str, Any]:
    found = shared.fixture.ask("POST", f"{COLLECTIONS}/{shared.id}/get", {}, shared.admin).json()
    return {name: fields for name, fields in zip(found["ids"], found["metadatas"], strict=True) if name != "first"}


def test_only_own_writes_conflict(shared: Deployment) -> None:
    begun = token(shared)
    read = {"read_token": begun, "read_ids": ["a1", "b1", "b2"], "read_filters": [{"where": {"n": {"$gt": 1}}}]}
    for body in ({"ids": ["b1"], "metadatas": [{"n": 2}]}, {"ids": ["b2"], "metadatas": [{"owner": "b", "n": 2}]}):
        embeddings = [[1, 2]]
        assert shared.ask("b", "POST", "upsert", {**body, "embeddings": embeddings}).status == 200
    done = commit(shared, operation("update", "a1", n=2), **read)
    assert done.json() == {"first_inserted_record_offset": None, "record_count": 1}
    assert owned(shared)["a1"] == {"owner": "a", "n": 2}
    assert commit(shared, operation("delete", "a1"), **read).status == 409
    assert commit(shared, operation("delete", "a1"), read_token=begun, read_ids=["a1"]).status == 409
    again = shared.ask("a", "POST", GET, {"ids": ["a1", "b1"], "read_token": begun}).json()
    assert (again["ids"], again["metadatas"]) == (["a1"], [{"owner": "a", "n": 1}]), "its snapshot"


def test_operations_apply_to_what_is_inside(shared: Deployment) -> None:
    operations = [
        operation("update", "b1", n=5),
        operation("delete", "b1"),
        operation("add", "a2", owner="a", n=1),
        operation("update", "a2", n=2),
        operation("update", "a3", n=3),
        operation("delete", "a1"),
        operation("upsert", "a1", owner="a"),
    ]
    assert commit(shared, *operations).json() == {"first_inserted_record_offset": None, "record_count": 4}
    assert owned(shared) == {"b1": {"owner": "b", "n": 1}, "a2": {"owner": "a", "n": 2}, "a1": {"owner": "a"}}
    where = {"operation": "delete", "payload": {"where": {"n": {"$lt": 9}}}}
    assert commit(shared, where).json()["record_count"] == 1
    assert set(owned(shared)) == {"a1", "b1"}


@pytest.mark.parametrize(
    "operations",
    [
        [operation("add", "b1", owner="a")],
        [operation("update", "a1", owner="b")],
        [operation("add", "a2", owner="a"), operation("update", "a2", owner="b"), operation("delete", "a2")],
        [operation("delete", "a1"), operation("upsert", "a1", n=2)],
    ],
)
def test_a_commit_that_leaves_the_filter_is_refused(shared: Deployment, operations: list[dict[str, Any]]) -> None:
    before = owned(shared)
    response = commit(shared, *operations)
    assert (response.status, response.json()["message"]) == (
        403,
        "Forbidden: the write does not match the filter of the key",
    )
    joint = {"collections": [{"collection_id": shared.id, "operations": operations}]}
    assert shared.ask("a", "POST", f"{HOME}/{COMMIT}", joint).status == 403
    assert owned(shared) == before


def test_tokens_tell_nothing(shared: Deployment) -> None:
    tokens = {token(shared) for _ in range(20)}
    assert len(tokens) == 20, "also those of the same snapshot differ"
    assert all(0 < one < 2**53 for one in tokens), "JavaScript holds them"
    begun = tokens.pop()
    assert shared.ask("a", "POST", GET, {"read_token": begun}).json()["read_token"] == begun
    write = {"operations": [operation("update", "a1", n=2)]}
    for wrong in (3, 0, begun ^ 1, begun + 2**52, 2**53, 2**64 - 1):
        for route, body in ((GET, {"ids": ["a1"]}), (GET, {}), ("conditional/query", NEAREST), (COMMIT, write)):
            response = shared.ask("a", "POST", route, {**body, "read_token": wrong})
            assert (response.status, response.json()) == (412, STALE), (route, wrong)
    assert shared.ask("a", "POST", GET, {"read_token": str(begun)}).status == 422
    path = f"{COLLECTIONS}/{shared.id}/{GET}"
    assert shared.fixture.ask("POST", path, {"read_token": begun}, shared.admin).status == 400
    other = shared.fixture.ask("POST", COLLECTIONS, {"name": "other"}, shared.admin).json()["id"]
    assert shared.ask("a", "POST", f"{COLLECTIONS}/{other}/{GET}", {"read_token": begun}).status == 412
    shared.end("other")


def test_old_and_future_positions_are_refused_alike(shared: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder of a key who makes up tokens does not learn how many entries the log has."""
    hidden, purpose = shared.fixture.engine.hidden_positions, f"read_token {shared.id}"
    monkeypatch.setattr(read_condition, "MAX_ENTRIES", 1)
    for position, status in ((3, 200), (2, 200), (1, 412), (4, 412)):
        for route, body in (
            (GET, {"ids": ["a1"]}),
            (GET, {}),
            ("conditional/query", NEAREST),
            (COMMIT, {"operations": [operation("delete", "a9")]}),
        ):
            made_up = hidden.hide(position, purpose)
            response = shared.ask("a", "POST", route, {**body, "read_token": made_up})
            assert response.status == status, (route, position)
            assert status == 200 or response.json() == STALE


@pytest.mark.parametrize("client", CLIENTS)
def test_what_chromas_clients_send(shared: Deployment, client: str) -> None:
    def send(route: str, content: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        path = f"{COLLECTIONS}/{shared.id}/{route}"
        response = shared.fixture.ask("POST", path, content, shared.keys["a"], headers.items())
        return response.status, response.json()

    first, second = (ClientTransaction(CLIENTS[client], send) for _ in range(2))
    for transaction in (first, second):
        assert transaction.get(["a1", "a2", "b1"])["ids"] == ["a1"]
        assert shared.ask("b", "POST", "update", {"ids": ["b1"], "metadatas": [{"n": 2}]}).status == 200
        assert transaction.get(where={"n": {"$gte": 1}}, limit=9)["ids"] == ["a1"]
        transaction.write("update", ["a1"], metadatas=[{"n": 5}])
        transaction.write("add", ["a2"], embeddings=[[1, 2]], metadatas=[{"owner": "a"}])
    assert first.commit() == 2
    assert second.send_commit() == (409, CONFLICT)
    assert owned(shared) == {"a1": {"owner": "a", "n": 5}, "b1": {"owner": "b", "n": 2}, "a2": {"owner": "a"}}


def test_a_repeated_commit_is_recognised_and_nonces_of_others_are_not(shared: Deployment) -> None:
    nonce = "n" * 20
    fields = {"read_token": token(shared), "read_ids": ["a1"], "nonce": nonce}
    theirs = {"read_token": token(shared, "b"), "nonce": nonce, "operations": [operation("update", "b1", n=9)]}
    assert shared.ask("b", "POST", COMMIT, theirs).json()["record_count"] == 1
    for _ in range(2):
        done = commit(shared, operation("update", "a1", n=2), operation("update", "b1", n=2), **fields)
        assert done.json() == {"first_inserted_record_offset": None, "record_count": 1}
    assert owned(shared) == {"a1": {"owner": "a", "n": 2}, "b1": {"owner": "b", "n": 9}}


def test_two_collections(shared: Deployment) -> None:
    other = shared.fixture.ask("POST", COLLECTIONS, {"name": "other"}, shared.admin).json()["id"]
    parts = [
        {"collection_id": shared.id, "operations": [operation("update", "b1", n=3), operation("update", "a1", n=3)]},
        {"collection_id": other, "operations": [operation("add", "a9", owner="a")]},
    ]
    done = shared.ask("a", "POST", f"{HOME}/{COMMIT}", {"collections": parts}).json()["collections"]
    assert [(one["first_inserted_record_offset"], one["record_count"]) for one in done] == [(None, 1), (None, 1)]
    assert owned(shared) == {"a1": {"owner": "a", "n": 3}, "b1": {"owner": "b", "n": 1}}
    assert shared.ask("a", "GET", f"{COLLECTIONS}/{other}/count").json() == 1
    only_books = shared.fixture.engine.keys.create(
        Role.WRITER, "default_tenant", None, "", (("books", WHERE["a"][1]),)
    )[0]
    body = {"collections": parts}
    assert shared.fixture.ask("POST", f"{HOME}/{COMMIT}", body, only_books).status == 404, "other has no filter"
    shared.end("other")


def test_a_reader_commits_nothing(shared: Deployment) -> None:
    reader = shared.fixture.engine.keys.create(Role.READER, "default_tenant", None, "", (WHERE["a"],))[0]
    path = f"{COLLECTIONS}/{shared.id}/"
    read = shared.fixture.ask("POST", path + GET, {"read_token": None}, reader).json()
    assert read["ids"] == ["a1"]
    body = {"read_token": read["read_token"], "read_ids": ["a1"], "operations": []}
    done = shared.fixture.ask("POST", path + COMMIT, body, reader)
    assert done.json() == {"first_inserted_record_offset": None, "record_count": 0}
    body["operations"] = [operation("delete", "a1")]
    assert shared.fixture.ask("POST", path + COMMIT, body, reader).status == 403
