"""Forks, the past, drops and garbage collection in any order, with failures: nothing is lost that can be asked for.

A machine keeps a model of each collection and of each moment that a write was acknowledged at. Whatever it does, each
living collection equals its model, each moment within the retention answers as it was, for forks too; and when
everything is dropped and its time is over, nothing is left.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from afterglow.catalog import keys
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.time_travel import fork as forking
from afterglow.collection.time_travel.fork import ForkRequest
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Scope, Selection
from afterglow.errors import AfterglowError, AlreadyExists
from afterglow.jobs import gc, purge
from afterglow.jobs.indexer import compact_segments, flush_log, index
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.model import EVERYTHING, Model, as_pairs, canonical
from tests.support.stores import WITH_RETENTION, Clock, new_collection, quick_folder, stores_at, with_faults

TENANT, DATABASE = "default_tenant", "default_database"
NAMES = [f"r{number}" for number in range(30)]


@dataclass
class Acknowledged:
    """What a collection was when a write was acknowledged, and when that was."""

    model: Model
    at: float


@dataclass(repr=False)
class Line:
    """A collection as it should be."""

    name: str
    scope: Scope
    model: Model
    moments: dict[int, Acknowledged] = field(default_factory=dict)
    dropped_at: float | None = None
    is_known: bool = True
    """Whether each entry of the log was acknowledged."""

    def __repr__(self) -> str:
        return self.name


faults = st.one_of(
    st.none(),
    st.none(),
    st.tuples(st.integers(0, 30), st.sampled_from([Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.REFUSED, Fault.LOST])),
)
batches = st.builds(
    lambda op, names, value: Batch(
        op,
        names,
        None if op is Op.DELETE else np.full((len(names), 2), value, np.float32),
        metadatas=None if op is Op.DELETE else [{"v": value}] * len(names),
    ),
    st.sampled_from([Op.UPSERT, Op.UPSERT, Op.ADD, Op.DELETE]),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=25, unique=True),
    st.integers(0, 100),
)


class Lineage(RuleBasedStateMachine):
    """A few collections that descend from one another."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.clock = Clock()
        self.stores = stores_at(self.opened.enter_context(quick_folder()), WITH_RETENTION, clock=self.clock)
        self.lines: list[Line] = []
        self.made = 0

    @initialize()
    def begin(self) -> None:
        scope, made = new_collection(self.stores, "first")
        first = Line(made.name, scope, Model())
        self.lines.append(first)
        # Of the first two forks one shares segments, the other a batch too.
        self.put(first, Batch(Op.UPSERT, NAMES[:20], np.ones((20, 2), np.float32)))
        index(self.stores, Replica.for_indexer(self.stores, made.id), made.id, idle=True)
        self.descend(first, None, None)
        self.put(first, Batch(Op.UPSERT, NAMES[10:], np.zeros((20, 2), np.float32)))
        self.descend(first, None, None)

    def put(self, line: Line, batch: Batch) -> None:
        position = Engine(self.stores).write(line.scope, batch)
        assert position is not None
        line.model = line.model.after(batch)
        line.moments[position] = Acknowledged(line.model, self.clock.now())

    def attempt(self, work: Callable[[Stores], Any], fault: tuple[int, Fault] | None) -> tuple[bool, Any]:
        """Whether the work came to its end, on stores that fail once; and what it answered."""
        if fault is None:
            return True, work(self.stores)
        try:
            return True, work(with_faults(self.stores, Faults(nth(*fault))))
        except (AfterglowError, Crash):
            return False, None

    def living(self) -> list[Line]:
        return [line for line in self.lines if line.dropped_at is None]

    def contents(self, line: Line, at: PointInTime | None = None) -> str:
        return canonical(as_pairs(Engine(self.stores).get(line.scope, Selection(), None, 0, EVERYTHING, at=at)))

    @precondition(lambda self: self.living())
    @rule(data=st.data(), batch=batches, fault=faults)
    def write(self, data: st.DataObject, batch: Batch, fault: tuple[int, Fault] | None) -> None:
        line = data.draw(st.sampled_from(self.living()))
        expected = line.model.after(batch)

        def work(stores: Stores) -> int | None:
            if batch.op is Op.DELETE:
                return Engine(stores).delete(line.scope, Selection(batch.ids)).position
            return Engine(stores).write(line.scope, batch)

        done, position = self.attempt(work, fault)
        line.is_known &= done
        if done or self.contents(line) == canonical([*expected.records.items()]):
            line.model = expected
        if done:
            assert position is not None
            line.moments[position] = Acknowledged(expected, self.clock.now())

    @precondition(lambda self: self.living())
    @rule(data=st.data(), quiet=st.booleans(), fault=faults)
    def index(self, data: st.DataObject, quiet: bool, fault: tuple[int, Fault] | None) -> None:
        self.clock.skipped += WITH_RETENTION.gc_grace_seconds + 1
        identity = data.draw(st.sampled_from(self.living())).scope.collection
        self.attempt(lambda stores: index(stores, Replica.for_indexer(stores, identity), identity, idle=quiet), fault)

    @precondition(lambda self: self.living())
    @rule(data=st.data(), merges=st.booleans(), fault=faults)
    def work_as_a_function(self, data: st.DataObject, merges: bool, fault: tuple[int, Fault] | None) -> None:
        identity = data.draw(st.sampled_from(self.living())).scope.collection

        def work(stores: Stores) -> None:
            flush_log(stores, Replica.for_indexer(stores, identity), identity, up_to=None)
            if merges:
                compact_segments(stores, identity, idle=True)

        self.attempt(work, fault)

    @rule(long=st.booleans(), fault=faults)
    def clean_up(self, long: bool, fault: tuple[int, Fault] | None) -> None:
        self.clock.skipped += 600.0 if long else 20.0
        self.attempt(purge.purge_dropped, fault)
        for line in self.living():
            identity = line.scope.collection
            self.attempt(partial(gc.collect_garbage, collection_id=identity), fault)

    @rule(seconds=st.sampled_from([1.0, 100.0, 300.0]))
    def wait(self, seconds: float) -> None:
        self.clock.skipped += seconds

    @precondition(lambda self: self.living())
    @rule(data=st.data(), fault=faults)
    def fork(self, data: st.DataObject, fault: tuple[int, Fault] | None) -> None:
        self.descend(data.draw(st.sampled_from(self.living())), None, fault)

    @precondition(lambda self: any(self.asked(line) for line in self.lines))
    @rule(data=st.data(), fault=faults)
    def restore(self, data: st.DataObject, fault: tuple[int, Fault] | None) -> None:
        line = data.draw(st.sampled_from([line for line in self.lines if self.asked(line)]))
        self.descend(line, data.draw(st.sampled_from(self.asked(line))), fault)

    def descend(self, line: Line, position: int | None, fault: tuple[int, Fault] | None) -> None:
        self.made += 1
        name, moment = f"fork-{self.made}", None if position is None else PointInTime(position=position)

        def work(stores: Stores) -> None:
            place = Engine(stores).catalog.get_database(TENANT, DATABASE)
            forking.fork(stores, line.scope.collection, ForkRequest(place, name), moment)

        done, _ = self.attempt(work, fault)
        engine = Engine(self.stores)
        if not done and name not in {collection.name for collection in engine.list_collections(TENANT, DATABASE)}:
            return
        made = engine.get_collection(TENANT, DATABASE, name)
        model = line.model if position is None else line.moments[position].model
        scope = Scope(TENANT, DATABASE, made.id)
        begun = Acknowledged(model, self.clock.now())
        self.lines.append(Line(name, scope, model, {made.fork_position: begun}, is_known=line.is_known))
        with pytest.raises(AlreadyExists):
            engine.fork(scope, name)
        assert engine.fork_count(scope) == len(self.living()) - self.first_lives()

    def first_lives(self) -> bool:
        return self.lines[0].dropped_at is None

    @precondition(lambda self: len(self.living()) > 1)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        line = data.draw(st.sampled_from(self.living()))
        Engine(self.stores).delete_collection(TENANT, DATABASE, line.name)
        line.dropped_at = self.clock.now()

    def asked(self, line: Line) -> list[int]:
        """The moments that can be asked for."""
        since = self.clock.now() - WITH_RETENTION.retention_seconds + 1
        if line.dropped_at is not None and line.dropped_at < since:
            return []
        newest = max((position for position, moment in line.moments.items() if moment.at < since), default=None)
        return [
            position
            for position, moment in line.moments.items()
            if moment.at >= since or (position == newest and line.is_known)
        ]

    @invariant()
    def everything_is_there(self) -> None:
        for line in self.living():
            assert self.contents(line) == canonical([*line.model.records.items()])
            for position in self.asked(line)[-4:]:
                expected = canonical([*line.moments[position].model.records.items()])
                assert self.contents(line, PointInTime(position=position)) == expected

    def teardown(self) -> None:
        for line in self.living():
            Engine(self.stores).delete_collection(TENANT, DATABASE, line.name)
        self.clock.skipped += 3_000.0
        for _ in self.lines:
            purge.purge_dropped(self.stores)
        purge.purge_dropped(self.stores)
        assert [info.key for info in self.stores.objects.list("")] == []
        assert self.stores.table.query(keys.DELETIONS) == []
        for line in self.lines:
            assert self.stores.table.query(keys.collection(line.scope.collection)) == []
            assert self.stores.table.query(keys.lineage_partition(self.lines[0].scope.collection)) == []
        self.stores.table.close()
        self.opened.close()


SHARED = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


@pytest.mark.slow
def test_nothing_is_lost_that_can_be_asked_for() -> None:
    run_state_machine_as_test(Lineage, settings=settings(SHARED, max_examples=20, stateful_step_count=20))


@pytest.mark.slow
def test_nothing_is_lost_for_long() -> None:
    run_state_machine_as_test(Lineage, settings=settings(SHARED, max_examples=60, stateful_step_count=40))
