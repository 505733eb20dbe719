"""Sixteen writers of the same few records: the history of each record is linearizable."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.errors import Busy, Unavailable
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from tests.concurrency.linearizability import Operation, is_linearizable, violations
from tests.support.stores import SMALL, new_collection, stores_at

WRITERS, OPERATIONS, KEYS = 16, 20, 5


def operation(verb: str, value: int | None, started: float, ended: float | None) -> Operation:
    return Operation("c", "k", verb, value, started, ended)


GOOD = [
    [operation("read", None, 0, 1), operation("upsert", 1, 2, 3), operation("read", 1, 4, 5)],
    [operation("upsert", 1, 0, 5), operation("read", None, 1, 2), operation("read", 1, 3, 4)],
    [operation("upsert", 1, 0, None), operation("read", None, 1, 2), operation("read", 1, 9, 10)],
    [operation("upsert", 1, 0, None), operation("read", None, 1, 2), operation("read", None, 9, 10)],
    [operation("add", 1, 0, 3), operation("add", 2, 1, 4), operation("read", 2, 5, 6)],
    [operation("update", 1, 0, 1), operation("read", None, 2, 3), operation("delete", None, 3, 4)],
    [operation("upsert", 1, 0, 1), operation("delete", None, 2, 6), operation("read", 1, 3, 4)],
]
BAD = [
    [operation("upsert", 1, 0, 1), operation("read", None, 2, 3)],
    [operation("upsert", 1, 0, 1), operation("upsert", 2, 2, 3), operation("read", 1, 4, 5)],
    [operation("upsert", 1, 0, 9), operation("read", 1, 1, 2), operation("read", None, 3, 4)],
    [operation("upsert", 1, 2, None), operation("read", 1, 0, 1)],
    [operation("add", 1, 0, 1), operation("add", 2, 2, 3), operation("read", 2, 4, 5)],
    [operation("update", 1, 0, 1), operation("read", 1, 2, 3)],
    [operation("upsert", 1, 0, 1), operation("delete", None, 2, 3), operation("read", 1, 4, 5)],
]


@pytest.mark.parametrize("history", GOOD)
def test_a_linearizable_history_is_accepted(history: Sequence[Operation]) -> None:
    assert is_linearizable(history)


@pytest.mark.parametrize("history", BAD)
def test_any_other_is_not(history: Sequence[Operation]) -> None:
    assert not is_linearizable(history)
    assert len(violations(history)) == 1


class Writer:
    """A client that reads and writes a few records; nobody else writes its values."""

    def __init__(self, name: str, number: int, engine: Engine, scope: Scope) -> None:
        self._name, self._number = name, number
        self._engine, self._scope = engine, scope
        self._random = random.Random(f"{name} {time.monotonic_ns()}")

    def run(self, operations: int) -> list[Operation]:
        """Its history."""
        return [self._step(count) for count in range(operations)]

    def _step(self, count: int) -> Operation:
        key = f"k{self._random.randrange(KEYS)}"
        verb = self._random.choice(("read", "read", "add", "update", "upsert", "upsert", "delete"))
        value: int | None = None if verb == "delete" else 1_000 * self._number + count
        started = time.monotonic()
        try:
            if verb == "read":
                value = self._read(key)
            elif verb == "delete":
                self._engine.delete(self._scope, Selection([key]))
            else:
                vectors = np.full((1, 2), value, dtype=np.float32)
                self._engine.write(self._scope, Batch(Op(verb), [key], vectors, metadatas=[{"value": value}]))
        except (Busy, Unavailable):
            if verb == "read":
                raise
            return Operation(self._name, key, verb, value, started, None)
        return Operation(self._name, key, verb, value, started, time.monotonic())

    def _read(self, key: str) -> int | None:
        include = frozenset({Include.EMBEDDINGS})
        found = self._engine.get(self._scope, Selection([key]), None, 0, include)
        assert found.embeddings is not None
        return int(found.embeddings[0][0]) if found.ids else None


def history_of(
    engines: Sequence[Engine], scope: Scope, index_once: Callable[[], None], operations: int
) -> list[Operation]:
    """The history of sixteen writers on these engines, while an indexer flushes, compacts and collects."""
    is_over = threading.Event()

    def keep_indexing() -> None:
        while not is_over.wait(0.02):
            index_once()

    writers = [Writer(f"w{number}", number, engines[number % len(engines)], scope) for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS + 1) as pool:
        indexer = pool.submit(keep_indexing)
        try:
            histories = list(pool.map(lambda writer: writer.run(operations), writers))
        finally:
            is_over.set()
        indexer.result()
    return [operation for history in histories for operation in history]


@pytest.mark.slow
@pytest.mark.parametrize("engines", [1, 4])
def test_sixteen_writers_on_sqlite(folder: Path, engines: int) -> None:
    """On one engine, or on several as in as many processes."""
    stores = [stores_at(folder, replace(SMALL, gc_grace_seconds=0.05)) for _ in range(engines)]
    scope, made = new_collection(stores[0])
    replica = Replica.for_indexer(stores[0], made.id)
    history = history_of(
        [Engine(of) for of in stores], scope, lambda: void(index(stores[0], replica, made.id, idle=True)), OPERATIONS
    )
    assert len(history) == WRITERS * OPERATIONS
    assert violations(history) == []
    for of in stores:
        of.table.close()


def void(_: object) -> None:
    """Drop a report."""
