"""Records that expire: random programmes with a clock against a plain dict, what clocks that differ make of it, and
what becomes of it where the key is changed.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from afterglow.catalog import collections, ttl
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, ReadLevel, Scope, Selection
from afterglow.errors import InternalError, InvalidArgument
from afterglow.filters.parse import parse_where
from afterglow.jobs import ttl_sweep
from afterglow.jobs.flush import flush
from afterglow.jobs.indexer import flush_log, index
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.support.batches import DIMENSION, batches, ids, vectors
from tests.support.model import EVERYTHING, Model, Record, as_pairs, canonical
from tests.support.stores import ManualClock, new_collection, quick_folder, stores_at

WRITES = (Op.ADD, Op.UPDATE, Op.UPSERT)
BEGIN = 1_000_000.0
KEY = {ttl.TTL_KEY: "until"}
NOTHING: frozenset[Include] = frozenset()

untils = st.one_of(
    st.integers(0, 40).map(lambda each: int(BEGIN) + each),
    st.integers(0, 80).map(lambda each: BEGIN + each / 2),
    st.sampled_from([-1, 0, 2**62, "soon", True, [int(BEGIN)]]),
)


def is_over(record: Record, now: float) -> bool:
    until = (record.metadata or {}).get("until")
    return isinstance(until, int | float) and not isinstance(until, bool) and until <= now


class Machine(RuleBasedStateMachine):
    """Two engines, an indexer, and the model; the clock stands still unless it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self._exit = ExitStack()
        self.model = Model()
        self.was_written = False

    @initialize()
    def begin(self) -> None:
        folder = self._exit.enter_context(quick_folder())
        self.clock = ManualClock(BEGIN)
        self.stores = stores_at(folder, clock=self.clock)
        self._exit.callback(self.stores.table.close)
        self.scope, collection = new_collection(self.stores, metadata=KEY)
        self.id = collection.id
        self.reopen()

    def teardown(self) -> None:
        self._exit.close()

    @rule()
    def reopen(self) -> None:
        self.engines = [Engine(self.stores), Engine(self.stores)]
        self.indexer = Replica.for_indexer(self.stores, self.id)

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.clock.seconds += seconds

    # writes

    @rule(at=st.integers(0, 1), batch=batches(WRITES), until=untils, rest=st.lists(untils | st.none(), max_size=6))
    def write(self, at: int, batch: Batch, until: Any, rest: list[Any]) -> None:
        drawn = [until, *rest, *[until] * len(batch.ids)]
        given = batch.metadatas or [None] * len(batch.ids)
        with_until = [
            each if value is None else {**(each or {}), "until": value}
            for each, value in zip(given, drawn, strict=False)
        ]
        brought = Batch(batch.op, batch.ids, batch.vectors, batch.vector_rows, batch.documents, with_until, batch.uris)
        self.engines[at].write(self.scope, brought)
        self.model.apply(brought, self.is_gone)
        self.was_written |= brought.dimension is not None

    @rule(at=st.integers(0, 1), names=st.lists(ids, min_size=1, max_size=5))
    def delete(self, at: int, names: list[str]) -> None:
        self.engines[at].delete(self.scope, Selection(names))
        self.model.apply(Batch(Op.DELETE, names))

    @rule(at=st.integers(0, 1))
    def delete_where(self, at: int) -> None:
        doomed = [name for name in self.visible() if "a" in (self.model.records[name].metadata or {})]
        where = parse_where({"$or": [{"a": {"$in": [each]}} for each in (1, "x", 0.5, True)]})
        found = self.engines[at].get(self.scope, Selection(where=where), None, 0, NOTHING).ids
        assert set(found) <= set(doomed)
        assert self.engines[at].delete(self.scope, Selection(where=where)).count == len(found)
        if found:
            self.model.apply(Batch(Op.DELETE, found))

    # reads

    @rule(at=st.integers(0, 1), names=st.none() | st.lists(ids, max_size=4))
    def get(self, at: int, names: list[str] | None) -> None:
        found = self.engines[at].get(self.scope, Selection(names), None, 0, EVERYTHING)
        wanted = [name for name in self.visible() if names is None or name in names]
        assert canonical(as_pairs(found)) == canonical([(name, self.model.records[name]) for name in wanted])

    @rule(at=st.integers(0, 1), names=st.none() | st.lists(ids, max_size=4), query=vectors)
    def query(self, at: int, names: list[str] | None, query: list[float]) -> None:
        asked, visible = np.array([query], dtype=np.float32), self.visible()
        wanted = visible if names is None else [name for name in visible if name in names]
        if self.was_written and names is not None and not set(names) <= set(visible):
            with pytest.raises(InternalError):
                self.engines[at].query(self.scope, asked, 20, Selection(names), NOTHING)
            return
        (hits,) = self.engines[at].query(self.scope, asked, 20, Selection(names), NOTHING)
        assert sorted(hits.records.ids) == sorted(wanted)

    @rule(at=st.integers(0, 1))
    def count(self, at: int) -> None:
        assert self.engines[at].count(self.scope).count == len(self.visible())
        indexed = self.engines[at].count(self.scope, ReadLevel.INDEX_ONLY).count
        assert (
            0
            <= indexed
            <= self.engines[at].count(self.scope, ReadLevel.INDEX_AND_BOUNDED_WAL).count + len(self.model.records)
        )

    # the background

    @rule(quiet=st.booleans())
    def index(self, quiet: bool) -> None:
        index(self.stores, self.indexer, self.id, idle=quiet)
        if quiet:
            self.nothing_is_due()

    @rule()
    def fold_all(self) -> None:
        """As the indexer of an account does."""
        flush_log(self.stores, self.indexer, self.id, up_to=None)
        self.nothing_is_due()

    @rule()
    def fold(self) -> None:
        flush(self.stores, Replica.for_indexer(self.stores, self.id).snapshot())

    def nothing_is_due(self) -> None:
        assert ttl_sweep.collections_due(self.stores) == []
        view = Replica(self.stores, self.id).snapshot()
        assert view.records == len(self.visible())
        live = [each.metadata or {} for name, each in self.model.records.items() if name in self.visible()]
        timely = [each["until"] for each in live if type(each.get("until")) in (int, float)]
        assert view.collection.next_expiry == min(timely, default=None)

    def visible(self) -> list[str]:
        return self.model.where(lambda each: not self.is_gone(each))

    def is_gone(self, record: Record) -> bool:
        return is_over(record, self.clock.seconds)


Machine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestMachine = Machine.TestCase


class World:
    """A collection with a key, whose clock is at hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(BEGIN)
        self.stores = stores_at(folder, clock=self.clock)
        self.scope, made = new_collection(self.stores, metadata=KEY)
        self.id = made.id

    def stores_of(self, clock: ManualClock) -> Stores:
        return stores_at(self.folder, clock=clock)

    def index(self) -> None:
        index(self.stores, Replica.for_indexer(self.stores, self.id), self.id, idle=True)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def records(until: dict[str, Any], op: Op = Op.ADD, start: int = 0) -> Batch:
    """Records by id, with when they expire."""
    brought = np.arange(start, start + len(until) * DIMENSION, dtype=np.float32).reshape(len(until), DIMENSION)
    metadatas = [None if each is None else {"until": each} for each in until.values()]
    return Batch(op, list(until), brought, metadatas=metadatas)


def seen(stores: Stores, scope: Scope) -> list[str]:
    return Engine(stores).get(scope, Selection(), None, 0, NOTHING).ids


def test_what_a_write_finds_gone_goes_by_the_latest_clock_of_the_log(world: World) -> None:
    """A writer whose clock is behind decides as the log does, and so does every replica."""
    late = ManualClock(BEGIN - 100)
    behind, ahead = Engine(world.stores_of(late)), Engine(world.stores)
    behind.write(world.scope, records({"a": int(BEGIN) - 50, "b": int(BEGIN) + 50}))
    ahead.write(world.scope, records({"c": None}))
    behind.write(world.scope, records({"a": int(BEGIN) + 60, "b": int(BEGIN) + 60}, start=50))
    fresh = Replica(world.stores, world.id).snapshot()
    world.index()
    folded = Replica(world.stores, world.id).snapshot()
    for view in (fresh, folded):
        assert view.log_time == int(BEGIN * 1000)
        assert view.records == 3
    # a came anew, after c; b was there.
    assert seen(world.stores, world.scope) == ["b", "c", "a"]
    world.clock.seconds += 50
    assert seen(world.stores, world.scope) == ["c", "a"]


def test_reads_go_by_the_present_key_and_entries_by_the_one_they_carry(world: World) -> None:
    engine = Engine(world.stores)
    engine.write(world.scope, records({"a": int(BEGIN) + 1, "b": int(BEGIN) + 1, "c": None}))
    world.index()
    world.clock.seconds += 2
    assert seen(world.stores, world.scope) == ["c"]
    engine.modify_collection(world.scope, new_metadata={"x": 1})
    assert collections.by_id(world.stores.table, world.id).next_expiry is None  # type: ignore[union-attr]
    assert seen(world.stores, world.scope) == ["a", "b", "c"]
    engine.write(world.scope, records({"a": None}))  # it is there
    assert seen(world.stores, world.scope) == ["a", "b", "c"]
    engine.modify_collection(world.scope, new_metadata=KEY)
    engine.write(world.scope, records({"a": None}))  # it is gone
    assert seen(world.stores, world.scope) == ["c", "a"]
    assert ttl_sweep.collections_due(world.stores) == [world.id]
    world.index()
    assert ttl_sweep.collections_due(world.stores) == []
    assert Replica(world.stores, world.id).snapshot().records == 2


def test_a_key_that_nothing_expires_by_is_looked_for_once(world: World) -> None:
    engine = Engine(world.stores)
    engine.write(world.scope, records({"a": int(BEGIN) + 5}))
    world.index()
    engine.modify_collection(world.scope, new_metadata={ttl.TTL_KEY: "other"})
    assert ttl_sweep.collections_due(world.stores) == [world.id]
    world.index()
    assert ttl_sweep.collections_due(world.stores) == []
    world.clock.seconds += 10
    assert ttl_sweep.collections_due(world.stores) == []
    assert seen(world.stores, world.scope) == ["a"]


@pytest.mark.parametrize("key", ["", "#id", "$x", 5, None, ["until"], True])
def test_a_key_that_cannot_be_one_is_refused(world: World, key: Any) -> None:
    with pytest.raises(InvalidArgument, match="afterglow:ttl_key must name a metadata key"):
        new_collection(world.stores, "refused", metadata={ttl.TTL_KEY: key})
    with pytest.raises(InvalidArgument, match="afterglow:ttl_key must name a metadata key"):
        Engine(world.stores).modify_collection(world.scope, new_metadata={ttl.TTL_KEY: key})
    assert collections.by_id(world.stores.table, world.id).metadata == KEY  # type: ignore[union-attr]


def test_what_is_put_off_while_it_is_reclaimed_stays(world: World) -> None:
    """The indexer's clock is ahead: it finds expired what a writer still finds there, and puts off."""
    ahead = world.stores_of(ManualClock(BEGIN + 10))
    engine = Engine(world.stores)
    engine.write(world.scope, records({"a": int(BEGIN) + 5, "b": int(BEGIN) + 5}))
    world.index()
    replica = Replica.for_indexer(ahead, world.id)
    view = replica.snapshot()
    engine.write(world.scope, records({"a": int(BEGIN) + 50}, Op.UPDATE, start=9))
    assert ttl_sweep.delete_expired(ahead, replica, view) == 1
    assert seen(world.stores, world.scope) == ["a"]


def test_two_at_once_delete_what_expired_once(world: World) -> None:
    Engine(world.stores).write(world.scope, records({f"{number}": int(BEGIN) + 1 for number in range(20)}))
    world.index()
    world.clock.seconds += 2
    replicas = [Replica.for_indexer(world.stores, world.id) for _ in range(2)]
    views = [each.snapshot() for each in replicas]
    assert [ttl_sweep.delete_expired(world.stores, *each) for each in zip(replicas, views, strict=True)] == [20, 0]


def test_the_space_of_what_expired_is_given_back(world: World) -> None:
    engine = Engine(world.stores)
    engine.write(world.scope, records({f"{number}": int(BEGIN) + 1 + number % 2 * 100 for number in range(40)}))
    world.index()
    world.clock.seconds += 50
    world.index()
    (segment,) = Replica(world.stores, world.id).snapshot().manifest.segments
    assert (segment.rows, segment.deleted_rows) == (20, 0)
    assert seen(world.stores, world.scope) == [f"{number}" for number in range(1, 40, 2)]
