"""Clients with random transactions, filters among their reads: every history is serializable in the log's order."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope
from afterglow.jobs.indexer import index
from afterglow.log.batch import Op
from tests.concurrency.serializability import Change, Client, Done, Nearest, violations
from tests.support.stores import WITH_RETENTION, new_collection, stores_at

A1, A2 = Change(Op.UPSERT, "a", 3), Change(Op.UPSERT, "a", 6)
GOOD = [
    [],
    [Done(1, [A1]), Done(2, [A2], 1, {"a": 3, "b": None}, {0: ["a"], 1: []})],
    [Done(1, [A1]), Done(2, [Change(Op.DELETE, None, 0)]), Done(3, [], 2, {"a": None}, {0: []})],
    [Done(1, [A1]), Done(2, [A2], 0, {"b": None}, {1: []})],
    [Done(1, [A1]), Done(2, [A2], 0, nearest={Nearest(6, 1, 8): [], Nearest(3, 2, None, 1): []})],
]
BAD = {
    "lost update": [Done(1, [A1], 0, {"a": None}), Done(2, [A2], 0, {"a": None})],
    "phantom": [Done(1, [A1]), Done(2, [A2], 0, {}, {0: []})],
    "write skew": [
        Done(1, [A1], 0, {"b": None}),
        Done(2, [Change(Op.UPSERT, "b", 1)], 0, {"a": None}),
    ],
    "read of no snapshot": [Done(1, [A1]), Done(2, [Change(Op.UPSERT, "b", 1)], 0, {"a": 3})],
    "nearer record": [Done(1, [A1]), Done(2, [], 0, nearest={Nearest(4, 1): []})],
    "nearer in its group": [Done(1, [A1]), Done(2, [A2]), Done(3, [], 1, nearest={Nearest(5, 1, 4, 0): [4]})],
    "missing": [Done(2, [A1])],
    "used twice": [Done(1, [A1]), Done(1, [A2])],
}


@pytest.mark.parametrize("history", GOOD)
def test_a_serializable_history_is_accepted(history: Sequence[Done]) -> None:
    assert violations(history, {}) == []


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_any_other_is_not(history: Sequence[Done]) -> None:
    assert violations(history, {}) != []


def run_clients(engines: Sequence[Engine], scope: Scope, background: Callable[[], object], steps: int) -> list[Client]:
    """A client for each engine, at the same time; `background` runs meanwhile, again and again."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            background()
            time.sleep(0.02)

    clients = [Client(number, engine, scope, time.monotonic_ns()) for number, engine in enumerate(engines)]
    with ThreadPoolExecutor(len(clients) + 1) as pool:
        repeated = pool.submit(repeat)
        try:
            done = list(pool.map(lambda client: client.run(steps), clients))
        finally:
            over.set()
        repeated.result()
    return done


def check(clients: Sequence[Client]) -> int:
    """All histories together are serializable, and end in what is stored; the number of commits."""
    history = [done for client in clients for done in client.history]
    assert violations(history, {}) == []
    state: dict[str, int] = {}
    for done in sorted(history, key=lambda one: one.position):
        for change in done.changes:
            change.apply(state)
    assert clients[0].read_state() == state
    return len(history)


@pytest.mark.parametrize(
    ("count", "steps"), [(4, 12), pytest.param(16, 50, marks=pytest.mark.slow)], ids=["quick", "long"]
)
def test_histories_of_transactions_are_serializable(tmp_path: Path, count: int, steps: int) -> None:
    """Each client has an engine of its own, as in processes of their own, while an indexer flushes and trims."""
    stores = stores_at(tmp_path, replace(WITH_RETENTION, retention_seconds=5_000.0, gc_grace_seconds=3_600.0))
    scope = new_collection(stores)[0]
    replica = Replica.for_indexer(stores, scope.collection)
    clients = run_clients(
        [Engine(stores) for _ in range(count)],
        scope,
        lambda: index(stores, replica, scope.collection, idle=False),
        steps,
    )
    committed = check(clients)
    assert committed > steps
    assert sum(client.conflicts for client in clients) > 0
    stores.table.close()
