"""The answers to writes wait for a slow indexer: of every route that adds records, in both versions, and embedded."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import afterglow
from afterglow.api.http import endpoint
from afterglow.jobs.index_scheduler import IndexScheduler
from afterglow.settings import Settings
from tests.wire.clients import ApiClient
from tests.wire.conftest import serve_folder

WAITING = 10**9
SECONDS = 2.0


class Sleeps:
    """What the endpoint has waited for."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> Sleeps:
    recorded = Sleeps()
    monkeypatch.setattr(endpoint, "sleep", recorded.sleep)
    monkeypatch.setattr(IndexScheduler, "waiting_ops", lambda self, collection_id, total_ops: WAITING)
    return recorded


@pytest.fixture
def client(tmp_path: Path, sleeps: Sleeps) -> Iterator[ApiClient]:
    with serve_folder(tmp_path, Settings(slow_writes_ops=1)) as api_client:
        yield api_client


def test_every_answer_to_a_write_of_records_waits_and_no_other(client: ApiClient, sleeps: Sleeps) -> None:
    collection = client.collection()
    record: dict[str, Any] = {"ids": ["a"], "embeddings": [[1.0, 2.0]]}
    identity = collection.created["id"]
    for operation in ("add", "upsert", "update"):
        assert collection.post(operation, **record).status_code in (200, 201)
        assert client.request("POST", f"/api/v1/collections/{identity}/{operation}", record).status_code in (200, 201)
    committed = {"operations": [{"operation": "upsert", "payload": record}]}
    assert collection.post("conditional/commit", **committed).status_code == 200
    together = {"collections": [{"collection_id": identity, **committed}]}
    database = "/api/v2/tenants/default_tenant/databases/default_database"
    assert client.request("POST", f"{database}/conditional/commit", together).status_code == 200
    assert sleeps.seconds == [SECONDS] * 8
    assert collection.post("query", query_embeddings=[[1.0, 2.0]]).status_code == 200
    assert collection.post("delete", ids=["a"]).status_code == 200
    assert sleeps.seconds == [SECONDS] * 8


def test_a_refused_write_does_not_wait(client: ApiClient, sleeps: Sleeps) -> None:
    assert client.collection().post("add", ids=["a"], embeddings=[[]]).status_code == 400
    assert sleeps.seconds == []


def test_an_embedded_call_waits_in_the_thread_of_its_caller(
    tmp_path: Path, sleeps: Sleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERGLOW_SLOW_WRITES_OPS", "1")
    waited: list[float] = []
    with afterglow.PersistentClient(path=str(tmp_path)) as client:
        context = client._engine.context
        object.__setattr__(context, "system", replace(context.system, sleep=waited.append))
        collection = client.create_collection("docs", embedding_function=None)
        collection.add(ids=["a"], embeddings=[1.0, 2.0])
        assert waited == [SECONDS]
        assert collection.count() == 1
    assert sleeps.seconds == []
