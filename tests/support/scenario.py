"""A scenario of writes and background work on one collection, and a model of the acknowledged writes.

Whatever fails during the scenario, `check_invariants` checks the result: all acknowledged writes are there, the write
in flight is there completely or not at all, and no unreferenced object is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from afterglow.catalog import collections, keys
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Selection
from afterglow.errors import AfterglowError, Busy, Unavailable
from afterglow.filters.parse import parse_where
from afterglow.jobs import gc
from afterglow.jobs.indexer import index
from afterglow.log import entry as entries
from afterglow.log.batch import Batch, Op
from afterglow.log.entry import EntryKind
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import Stores
from tests.support.model import EVERYTHING, Model, as_pairs, canonical
from tests.support.stores import Clock, new_collection


def upsert(first: int, last: int, value: float) -> Batch:
    """More than twelve records are too large for an inline log entry."""
    names = [f"r{number}" for number in range(first, last)]
    vectors = np.full((len(names), 3), value, dtype=np.float32) + np.arange(len(names), dtype=np.float32)[:, None]
    return Batch(Op.UPSERT, names, vectors, metadatas=[{"k": number % 3} for number in range(first, last)])


def delete_range(first: int, last: int) -> Batch:
    return Batch(Op.DELETE, [f"r{number}" for number in range(first, last)])


@dataclass(frozen=True)
class DeleteWhere:
    """Delete the records with this value of k."""

    k: int


@dataclass(frozen=True)
class BackgroundWork:
    """One run of the indexer, as in its own process."""

    idle: bool


Step = Batch | DeleteWhere | BackgroundWork

SCENARIO: tuple[Step, ...] = (
    upsert(0, 3, 0.0),
    upsert(2, 22, 1.0),
    BackgroundWork(idle=False),
    delete_range(0, 4),
    upsert(20, 30, 2.0),
    DeleteWhere(1),
    BackgroundWork(idle=True),
    delete_range(4, 16),
    upsert(30, 33, 3.0),
    BackgroundWork(idle=True),
)


class ScenarioRun:
    """One run of the scenario, and the model of the acknowledged writes. `stores` do not fail."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self.clock = clock
        self.stores = stores
        self.scope, collection = new_collection(stores)
        self.id: UUID = collection.id
        self.model = Model()
        self.possible_models: list[Model] = []
        """What the collection may be instead, because of a write with unknown outcome."""
        self.models_by_position: dict[int, Model] = {}
        """The model at each known log position."""

    def execute(self, stores: Stores, *, retry: bool | None = False) -> None:
        """Run the scenario on stores that may fail.

        With `retry`, failed background work runs again at once, as with the queue; None: it is skipped.
        """
        engine, indexer = Engine(stores), Replica.for_indexer(stores, self.id)
        for step in SCENARIO:
            if isinstance(step, BackgroundWork):
                self.clock.skipped += stores.settings.gc_grace_seconds + 1
                try:
                    index(stores, indexer, self.id, idle=step.idle)
                except AfterglowError:
                    if retry is False:
                        raise
                    indexer = Replica.for_indexer(stores, self.id)
                    if retry is None:
                        continue
                    index(stores, indexer, self.id, idle=step.idle)
                continue
            batch = step if isinstance(step, Batch) else self.delete_matching(step.k)
            self.possible_models.append(self.model.after(batch))
            try:
                position = self.write(engine, step)
            except (Busy, Unavailable):
                self.model = self.current_model()
            else:
                self.model = self.possible_models[-1]
                if position is not None:
                    self.models_by_position[position] = self.model
            self.possible_models.clear()

    def write(self, engine: Engine, step: Batch | DeleteWhere) -> int | None:
        """Execute a write; its log position."""
        if isinstance(step, DeleteWhere):
            return engine.delete(self.scope, Selection(where=parse_where({"k": step.k}))).position
        if step.op is Op.DELETE:
            return engine.delete(self.scope, Selection(step.ids)).position
        return engine.write(self.scope, step)

    def delete_matching(self, k: int) -> Batch:
        return Batch(Op.DELETE, self.model.where(lambda record: (record.metadata or {}).get("k") == k))

    def current_model(self) -> Model:
        """The possible model that the collection equals now; fails if it equals none of them."""
        contents = self.contents(self.stores)
        for model in [self.model, *self.possible_models]:
            if canonical([*model.records.items()]) == contents:
                return model
        raise AssertionError(f"the collection is {contents}, should be {self.model.records}")

    def contents(self, stores: Stores) -> str:
        return canonical(as_pairs(Engine(stores).get(self.scope, Selection(), None, 0, EVERYTHING)))

    def check_time_travel(self) -> None:
        """A read at each log position returns the records as of then, if time travel is enabled."""
        if not self.stores.settings.retention_seconds:
            return
        engine = Engine(self.stores)
        for position, model in self.models_by_position.items():
            records = engine.get(self.scope, Selection(), None, 0, EVERYTHING, at=PointInTime(position=position))
            assert canonical(as_pairs(records)) == canonical([*model.records.items()])

    def check_invariants(self) -> None:
        """Check, recover, check again; then no unreferenced object may be left."""
        self.model = self.current_model()
        self.possible_models.clear()
        assert set(referenced_objects(self.stores, self.id)) <= {info.key for info in self.stores.objects.list("")}
        index(self.stores, Replica.for_indexer(self.stores, self.id), self.id, idle=True)
        self.current_model()
        self.clock.skipped += self.stores.settings.gc_grace_seconds + 1
        gc.collect_garbage(self.stores, self.id)
        self.current_model()
        self.check_time_travel()
        # What a crash left at the end of the log is garbage once the log goes on.
        Engine(self.stores).delete(self.scope, Selection(["nobody"]))
        index(self.stores, Replica.for_indexer(self.stores, self.id), self.id, idle=True)
        self.clock.skipped += self.stores.settings.retention_seconds + 3 * self.stores.settings.gc_grace_seconds
        gc.collect_garbage(self.stores, self.id)
        self.current_model()
        assert set(referenced_objects(self.stores, self.id)) == {info.key for info in self.stores.objects.list("")}
        log = self.stores.table.query(keys.collection(self.id), after=entries.BEFORE_ALL, before=entries.AFTER_ALL)
        # In an account placeholders stay, as nothing else keeps a delayed writer from taking their numbers.
        assert all(entries.decode(item).kind is EntryKind.PLACEHOLDER for item in log)
        assert not (log and self.stores.table.has_cheap_transactions)
        self.current_model()


def referenced_objects(stores: Stores, collection_id: UUID) -> Iterator[str]:
    """Every object that the current manifest or the log's batches reference; placeholders may name deleted ones."""
    state = collections.by_id(stores.table, collection_id)
    assert state is not None
    if state.manifest_key is not None:
        yield state.manifest_key
        for segment in manifests.load(stores.objects, state.manifest_key).segments:
            yield from (file.key for file in segment.objects)
    for item in stores.table.query(keys.collection(collection_id), after=entries.BEFORE_ALL, before=entries.AFTER_ALL):
        entry = entries.decode(item)
        if entry.payload_key is not None and entry.kind is EntryKind.BATCH:
            yield entry.payload_key
