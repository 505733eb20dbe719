"""When the indexer is told: at multiples of operations and of entries, by exactly one of all writers; and no write
fails because it could not be told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.types import Scope, Selection
from afterglow.errors import Unavailable
from afterglow.filters.parse import parse_where
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.support.stores import SMALL, RecordingQueue, new_collection, stores_at


def opened(folder: Path, ops: int, entries: int) -> tuple[Stores, RecordingQueue]:
    stores = stores_at(folder, replace(SMALL, notify_every_ops=ops, notify_every_entries=entries))
    assert isinstance(stores.queue, RecordingQueue)
    return stores, stores.queue


def write(engine: Engine, scope: Scope, first: int, count: int = 1) -> None:
    names = [f"{number}" for number in range(first, first + count)]
    metadatas = [{"key": number} for number in range(first, first + count)]
    engine.write(scope, Batch(Op.ADD, names, np.ones((count, 3), dtype=np.float32), metadatas=metadatas))


def test_the_entry_that_passes_a_multiple_of_operations_notifies(folder: Path) -> None:
    stores, queue = opened(folder, 10, 1_000)
    scope, _ = new_collection(stores)
    engines = [Engine(stores), Engine(stores)]
    for number in range(30):
        write(engines[number % 2], scope, number)
    assert [body for _, body in queue.sent] == ["10", "20", "30"]
    write(engines[0], scope, 30, 25)
    write(engines[1], scope, 55, 4)
    write(engines[1], scope, 59, 1)
    assert [body for _, body in queue.sent] == ["10", "20", "30", "31", "33"]


def test_every_n_entries_notify(folder: Path) -> None:
    stores, queue = opened(folder, 1_000, 4)
    scope, _ = new_collection(stores)
    for number in range(9):
        write(Engine(stores), scope, number)
    assert [body for _, body in queue.sent] == ["4", "8"]


def test_a_delete_by_a_filter_counts_like_every_write(folder: Path) -> None:
    stores, queue = opened(folder, 10, 1_000)
    scope, _ = new_collection(stores)
    engine = Engine(stores)
    write(engine, scope, 0, 8)
    assert engine.delete(scope, Selection(where=parse_where({"key": 0}))).count == 1
    assert queue.sent == []
    assert engine.delete(scope, Selection(where=parse_where({"key": 1}))).count == 1
    assert [body for _, body in queue.sent] == ["3"]


def test_a_queue_that_fails_costs_no_write(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    class FailingQueue:
        def send(self, group: str, body: str) -> None:
            raise Unavailable("the queue does not answer")

    stores = replace(stores_at(folder), queue=FailingQueue())
    scope, _ = new_collection(stores)
    engine = Engine(stores)
    write(engine, scope, 0, 3)
    assert engine.count(scope).count == 3
    assert f"could not notify the indexer of collection {scope.collection}" in caplog.text
    stores.table.close()
