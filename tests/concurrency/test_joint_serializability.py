"""Clients with random transactions of two collections: their histories together are serializable."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope
from afterglow.jobs.indexer import index
from tests.concurrency.joint_serializability import JointClient, disorder
from tests.concurrency.test_serializability import check
from tests.support.stores import WITH_RETENTION, new_collection, stores_at


def test_an_order_that_differs_is_found() -> None:
    assert disorder([(1, 1), (4, 2), (3, 5)]) == [((3, 5), (4, 2))]
    assert disorder([(5, 9), (1, 1), (2, 7)]) == []


@pytest.mark.parametrize(
    ("count", "steps"), [(4, 8), pytest.param(16, 30, marks=pytest.mark.slow)], ids=["quick", "long"]
)
def test_histories_of_two_collections_are_serializable(
    tmp_path: Path, pytestconfig: pytest.Config, count: int, steps: int
) -> None:
    """Each client has an engine of its own, as in processes of their own, while an indexer flushes and trims."""
    stores = stores_at(tmp_path, replace(WITH_RETENTION, retention_seconds=5_000.0, gc_grace_seconds=3_600.0))
    scopes: list[Scope] = [new_collection(stores, name)[0] for name in ("one", "other")]
    seed = int(pytestconfig.getoption("hypothesis_seed"))
    clients = [JointClient(number, Engine(stores), scopes, seed) for number in range(count)]

    def flush() -> None:
        for scope in scopes:
            index(stores, Replica.for_indexer(stores, scope.collection), scope.collection, idle=False)

    for _ in range(2):
        with ThreadPoolExecutor(count + 1) as pool:
            runs = [pool.submit(client.run, steps // 2) for client in clients]
            flushed = pool.submit(flush)
        flushed.result()
        for run in runs:
            run.result()
    committed = [positions for client in clients for positions in client.committed]
    assert committed
    assert disorder(committed) == []
    for histories in zip(*(client.clients for client in clients), strict=True):
        check(histories)
    stores.table.close()
