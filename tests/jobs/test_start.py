"""An engine over a deployment: with a scheduler of its own, or with the queue of an indexer elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from afterglow.catalog import schema
from afterglow.collection import Engine
from afterglow.collection.types import Scope
from afterglow.deployment.local import LocalDeployment, open_local
from afterglow.jobs.start import compact_all, start_engine
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings, System
from afterglow.storage.ports import Queue, Stores
from tests.support.stores import SMALL, RecordingQueue, quick_folder

SCOPE = ("default_tenant", "default_database")


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


@dataclass
class WithQueue:
    """A local deployment whose indexer runs elsewhere."""

    local: LocalDeployment
    queue: RecordingQueue = field(default_factory=RecordingQueue)

    def stores(self, settings: Settings, system: System, queue: Queue) -> Stores:
        return self.local.stores(settings, system, queue)

    def __getattr__(self, name: str) -> object:
        return getattr(self.local, name)


def write(engine: Engine, name: str, count: int) -> Scope:
    created = engine.create_collection(*SCOPE, name, None, schema.reconcile(None, None, None))
    scope = Scope(*SCOPE, created.id)
    ids = [f"{row}" for row in range(count)]
    engine.write(scope, Batch(Op.ADD, ids, np.ones((count, 3), dtype=np.float32)))
    return scope


def test_every_write_notifies_the_scheduler_of_this_process(folder: Path) -> None:
    engine = start_engine(open_local(folder, System()), SMALL, System())
    assert (engine.stores.settings.notify_every_ops, engine.stores.settings.notify_every_entries) == (1, 1)
    assert [database.name for database in engine.catalog.list_databases("default_tenant")] == ["default_database"]
    engine.close()


def test_with_a_queue_the_indexer_of_another_process_is_notified(folder: Path) -> None:
    deployment = WithQueue(open_local(folder, System()))
    settings = Settings(notify_every_ops=5)
    engine = start_engine(deployment, settings, System())  # type: ignore[arg-type]
    scope = write(engine, "tested", 9)
    assert engine.stores.settings == settings
    assert {group for group, _ in deployment.queue.sent} == {str(scope.collection)}
    engine.close()


def test_compact_all_indexes_every_collection_or_one(folder: Path) -> None:
    deployment = WithQueue(open_local(folder, System()))
    engine = start_engine(deployment, SMALL, System())  # type: ignore[arg-type]
    scopes = [write(engine, f"c{number}", 9) for number in range(3)]
    first, *others = compact_all(open_local(folder, System()), SMALL, System(), scopes[0].collection)
    assert (first.collection, first.flushed_ops, first.unflushed_ops, others) == (scopes[0].collection, 9, 0, [])
    reports = list(compact_all(open_local(folder, System()), SMALL, System()))
    assert sorted(report.flushed_ops for report in reports) == [0, 9, 9]
    assert all(engine.indexing_status(scope).indexed_ops == 9 for scope in scopes)
    engine.close()
