"""A programme of writes and background work on one collection, and the model of what was acknowledged.

Whatever fails while it runs, `check_afterwards` says what must hold: what was acknowledged is there, the write in hand
wholly or not at all, and nothing is left that nothing names.
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
from afterglow.log import trim
from afterglow.log.batch import Batch, Op
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import Stores
from tests.support.model import EVERYTHING, Model, as_model, exactly
from tests.support.stores import Clock, new_collection


def upsert(first: int, last: int, value: float) -> Batch:
    """More than twelve records are too large to lie in the table."""
    names = [f"r{number}" for number in range(first, last)]
    vectors = np.full((len(names), 3), value, dtype=np.float32) + np.arange(len(names), dtype=np.float32)[:, None]
    return Batch(Op.UPSERT, names, vectors, metadatas=[{"k": number % 3} for number in range(first, last)])


def some_deleted(first: int, last: int) -> Batch:
    return Batch(Op.DELETE, [f"r{number}" for number in range(first, last)])


@dataclass(frozen=True)
class Where:
    """Delete the records with this value of k."""

    k: int


@dataclass(frozen=True)
class Work:
    """The background work, as the indexer process does it."""

    quiet: bool


Step = Batch | Where | Work

PROGRAMME: tuple[Step, ...] = (
    upsert(0, 3, 0.0),
    upsert(2, 22, 1.0),
    Work(quiet=False),
    some_deleted(0, 4),
    upsert(20, 30, 2.0),
    Where(1),
    Work(quiet=True),
    some_deleted(4, 16),
    upsert(30, 33, 3.0),
    Work(quiet=True),
)


class Run:
    """The programme, and the model of what was acknowledged. `sound` are stores that do not fail."""

    def __init__(self, sound: Stores, clock: Clock) -> None:
        self.clock = clock
        self.sound = sound
        self.scope, made = new_collection(self.sound)
        self.id: UUID = made.id
        self.model = Model()
        self.possible: list[Model] = []
        """What the collection may be instead, because of a write whose end is not known."""
        self.moments: dict[int, Model] = {}
        """What it was at each position in the log that is known."""

    def carry_out(self, stores: Stores, *, again: bool | None = False) -> None:
        """Run the programme on stores that may fail.

        With `again`, work that failed is asked for once more, as the queue does; None: later.
        """
        engine, indexer = Engine(stores), Replica.for_indexer(stores, self.id)
        for step in PROGRAMME:
            if isinstance(step, Work):
                self.clock.skipped += stores.settings.gc_grace_seconds + 1
                try:
                    index(stores, indexer, self.id, idle=step.quiet)
                except AfterglowError:
                    if again is False:
                        raise
                    indexer = Replica.for_indexer(stores, self.id)
                    if again is None:
                        continue
                    index(stores, indexer, self.id, idle=step.quiet)
                continue
            batch = step if isinstance(step, Batch) else self.doomed(step.k)
            self.possible.append(self.model.after(batch))
            try:
                position = self.write(engine, step)
            except (Busy, Unavailable):
                self.model = self.settled()
            else:
                self.model = self.possible[-1]
                if position is not None:
                    self.moments[position] = self.model
            self.possible.clear()

    def write(self, engine: Engine, step: Batch | Where) -> int | None:
        """Where in the log it stands."""
        if isinstance(step, Where):
            return engine.delete(self.scope, Selection(where=parse_where({"k": step.k}))).position
        if step.op is Op.DELETE:
            return engine.delete(self.scope, Selection(step.ids)).position
        return engine.write(self.scope, step)

    def doomed(self, k: int) -> Batch:
        return Batch(Op.DELETE, self.model.where(lambda record: (record.metadata or {}).get("k") == k))

    def settled(self) -> Model:
        """The model that the collection now equals; fails where it is none that it may be."""
        found = self.contents(self.sound)
        for model in [self.model, *self.possible]:
            if exactly([*model.records.items()]) == found:
                return model
        raise AssertionError(f"the collection is {found}, should be {self.model.records}")

    def contents(self, stores: Stores) -> str:
        return exactly(as_model(Engine(stores).get(self.scope, Selection(), None, 0, EVERYTHING)))

    def check_past(self) -> None:
        """Each moment answers as it was, where the past is kept."""
        if not self.sound.settings.retention_seconds:
            return
        engine = Engine(self.sound)
        for position, model in self.moments.items():
            found = engine.get(self.scope, Selection(), None, 0, EVERYTHING, at=PointInTime(position=position))
            assert exactly(as_model(found)) == exactly([*model.records.items()])

    def check_afterwards(self) -> None:
        """Look, recover, look again; then nothing may be left that nothing names."""
        self.model = self.settled()
        self.possible.clear()
        assert set(named(self.sound, self.id)) <= {info.key for info in self.sound.objects.list("")}
        index(self.sound, Replica.for_indexer(self.sound, self.id), self.id, idle=True)
        self.settled()
        self.clock.skipped += self.sound.settings.gc_grace_seconds + 1
        gc.collect_garbage(self.sound, self.id)
        self.settled()
        self.check_past()
        self.clock.skipped += self.sound.settings.retention_seconds + 3 * self.sound.settings.gc_grace_seconds
        gc.collect_garbage(self.sound, self.id)
        self.settled()
        assert set(named(self.sound, self.id)) == {info.key for info in self.sound.objects.list("")}
        self.clock.skipped += self.sound.settings.log_placeholder_ttl_seconds + 1
        trim.delete_expired_placeholders(self.sound, self.id)
        log = self.sound.table.query(keys.collection(self.id), after=entries.BEFORE_ALL, before=entries.AFTER_ALL)
        assert log == []
        self.settled()


def named(stores: Stores, collection_id: UUID) -> Iterator[str]:
    """Every object that the manifest in force or the log names."""
    state = collections.by_id(stores.table, collection_id)
    assert state is not None
    if state.manifest_key is not None:
        yield state.manifest_key
        for segment in manifests.load(stores.objects, state.manifest_key).segments:
            yield from (file.key for file in segment.objects)
    for item in stores.table.query(keys.collection(collection_id), after=entries.BEFORE_ALL, before=entries.AFTER_ALL):
        entry = entries.decode(item)
        if entry.payload_key is not None:
            yield entry.payload_key
