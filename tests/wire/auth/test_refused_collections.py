"""A collection that a key does not name is as one that does not exist: the same response, after the same reads of the
table; and what is refused closes nothing that others have open."""

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from afterglow.auth import Role
from afterglow.storage.local.table import SqliteTable
from tests.wire.auth.auth_fixture import V1, auth_fixture
from tests.wire.auth.two_owners import COLLECTIONS, HOME, Deployment

INDEXER_THREAD = "afterglow-queue"
"""It reads the table, too, whenever it looks for what is to be flushed."""
MISSING = "00000000-0000-4000-8000-000000000000"
DELETE = {"operations": [{"operation": "delete", "payload": {"ids": ["a1"]}}]}
CALLS: list[tuple[str, str, Any]] = [
    ("GET", "count", None),
    ("GET", "count?read_level=index_only", None),
    ("POST", "count", {}),
    ("POST", "get", {}),
    ("POST", "get", {"ids": ["a1"]}),
    ("POST", "query", {"query_embeddings": [[1, 2]]}),
    ("POST", "search", {"searches": [{}]}),
    ("POST", "distinct", {"key": "n"}),
    ("POST", "min_max", {"key": "n"}),
    ("POST", "add", {"ids": ["x"], "embeddings": [[1, 2]]}),
    ("POST", "upsert", {"ids": ["x"], "embeddings": [[1, 2]]}),
    ("POST", "update", {"ids": ["a1"], "metadatas": [{"n": 1}]}),
    ("POST", "delete", {"ids": ["a1"]}),
    ("POST", "delete", {"where": {"n": 1}}),
    ("POST", "conditional/get", {}),
    ("POST", "conditional/query", {"query_embeddings": [[1, 2]]}),
    ("POST", "conditional/search", {"searches": [{}]}),
    ("POST", "conditional/commit", {"operations": []}),
    ("POST", "conditional/commit", DELETE),
]


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with auth_fixture() as fixture:
        deployment = Deployment(fixture)
        deployment.begin("books", None)
        yield deployment


@pytest.fixture
def stranger(deployment: Deployment) -> str:
    """A key with a filter for another collection, which the server has just checked."""
    wheres = (("films", b'{"owner":"a"}'),)
    key = deployment.fixture.engine.keys.create(Role.WRITER, "default_tenant", None, "", wheres)[0]
    assert deployment.fixture.ask("GET", COLLECTIONS, None, key).json() == []
    return key


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has the name of each read of the table for a request, from now on."""
    found: list[str] = []

    def recorded(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def read(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread().name != INDEXER_THREAD:
                found.append(name)
            return real(*arguments, **options)

        return read

    for name in ("get", "query"):
        monkeypatch.setattr(SqliteTable, name, recorded(name, getattr(SqliteTable, name)))
    return found


def open_collections(deployment: Deployment) -> list[UUID]:
    reader = deployment.fixture.engine._reader
    return [one for one in (UUID(deployment.id),) if reader.peek(one) is not None]


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize(("method", "route", "body"), CALLS)
@pytest.mark.parametrize("base", [COLLECTIONS, f"{V1}/collections"])
def test_the_same_response_after_the_same_reads(
    deployment: Deployment,
    stranger: str,
    reads: list[str],
    base: str,
    method: str,
    route: str,
    body: Any,
    is_open: bool,
) -> None:
    responses, counts = [], []
    deployment.fixture.engine._reader.evict(UUID(deployment.id))
    if is_open:
        for name in "ab":  # entries that a read would have to replay
            record = {"ids": [name], "embeddings": [[1, 2]], "metadatas": [{"owner": "c"}]}
            path = f"{COLLECTIONS}/{deployment.id}"
            assert deployment.fixture.ask("POST", f"{path}/upsert", record, deployment.admin).status == 200
            assert deployment.fixture.ask("POST", f"{path}/get", {}, deployment.admin).status == 200
    for collection in (MISSING, deployment.id):
        del reads[:]
        response = deployment.fixture.ask(method, f"{base}/{collection}/{route}", body, stranger)
        responses.append((response.status, response.body.replace(collection.encode(), b"<id>")))
        counts.append(list(reads))
    assert responses[0] == responses[1]
    assert counts[0] == counts[1]
    assert (open_collections(deployment) != []) == is_open


def test_a_look_up_by_id(deployment: Deployment, stranger: str, reads: list[str]) -> None:
    counts = []
    for collection in (MISSING, deployment.id):
        del reads[:]
        response = deployment.fixture.ask("GET", f"{COLLECTIONS}/by-id/{collection}", None, stranger)
        assert (response.status, response.json()["error"]) == (404, "NotFoundError")
        counts.append(list(reads))
    assert counts[0] == counts[1]


def test_a_joint_commit_that_names_a_missing_collection_closes_no_other(deployment: Deployment, stranger: str) -> None:
    path = f"{COLLECTIONS}/{deployment.id}"
    assert deployment.fixture.ask("GET", f"{path}/count", None, deployment.admin).status == 200
    for key in (deployment.admin, stranger):
        for ids in ((deployment.id, MISSING), (MISSING, deployment.id)):
            body = {"collections": [{"collection_id": one, **DELETE} for one in ids]}
            assert deployment.fixture.ask("POST", f"{HOME}/conditional/commit", body, key).status == 404
            assert open_collections(deployment) != []
