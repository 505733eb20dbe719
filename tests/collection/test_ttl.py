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
from afterglow.errors import InvalidArgument
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
    st.integers(0, 40).map(lambda seconds: int(BEGIN) + seconds),
    st.integers(0, 80).map(lambda half_seconds: BEGIN + half_seconds / 2),
    st.sampled_from([-1, 0, 2**62, "soon", True, [int(BEGIN)]]),
)


def is_over(record: Record, now: float) -> bool:
    until = (record.metadata or {}).get("until")
    return isinstance(until, int | float) and not isinstance(until, bool) and until <= now


class Machine(RuleBasedStateMachine):
    """Two engines, an indexer, and the model; the clock only moves when the test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self._exit = ExitStack()
        self.model = Model()

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
            metadata if value is None else {**(metadata or {}), "until": value}
            for metadata, value in zip(given, drawn, strict=False)
        ]
        brought = Batch(batch.op, batch.ids, batch.vectors, batch.vector_rows, batch.documents, with_until, batch.uris)
        self.engines[at].write(self.scope, brought)
        self.model.apply(brought, self.is_gone)

    @rule(at=st.integers(0, 1), names=st.lists(ids, min_size=1, max_size=5))
    def delete(self, at: int, names: list[str]) -> None:
        self.engines[at].delete(self.scope, Selection(names))
        self.model.apply(Batch(Op.DELETE, names))

    @rule(at=st.integers(0, 1))
    def delete_where(self, at: int) -> None:
        matching = [name for name in self.visible() if "a" in (self.model.records[name].metadata or {})]
        where = parse_where({"$or": [{"a": {"$in": [value]}} for value in (1, "x", 0.5, True)]})
        found = self.engines[at].get(self.scope, Selection(where=where), None, 0, NOTHING).ids
        assert set(found) <= set(matching)
        assert self.engines[at].delete(self.scope, Selection(where=where)).count == len(found)
        if found:
            self.model.apply(Batch(Op.DELETE, found))

    # reads

    @rule(at=st.integers(0, 1), names=st.none() | st.lists(ids, max_size=4))
    def get(self, at: int, names: list[str] | None) -> None:
        found = self.engines[at].get(self.scope, Selection(names), None, 0, EVERYTHING)
        expected_rows = [name for name in self.visible() if names is None or name in names]
        assert canonical(as_pairs(found)) == canonical([(name, self.model.records[name]) for name in expected_rows])

    @rule(at=st.integers(0, 1), names=st.none() | st.lists(ids, max_size=4), query=vectors)
    def query(self, at: int, names: list[str] | None, query: list[float]) -> None:
        asked, visible = np.array([query], dtype=np.float32), self.visible()
        expected_rows = visible if names is None else [name for name in visible if name in names]
        (hits,) = self.engines[at].query(self.scope, asked, 20, Selection(names), NOTHING)
        assert sorted(hits.records.ids) == sorted(expected_rows)

    @rule(at=st.integers(0, 1))
    def count(self, at: int) -> None:
        assert self.engines[at].count(self.scope).count == len(self.visible())
        indexed = self.engines[at].count(self.scope, ReadLevel.INDEX_ONLY).count
        # The checkpoint may still hold what the log has deleted since, but never more than was written.
        assert 0 <= indexed <= self.engines[at].indexing_status(self.scope).total_ops

    # the background

    @rule(idle=st.booleans())
    def index(self, idle: bool) -> None:
        index(self.stores, self.indexer, self.id, idle=idle)
        if idle:
            self.nothing_is_due()

    @rule()
    def flush_all(self) -> None:
        """As the indexer of an account does."""
        flush_log(self.stores, self.indexer, self.id, up_to=None)
        self.nothing_is_due()

    @rule()
    def flush(self) -> None:
        flush(self.stores, Replica.for_indexer(self.stores, self.id).snapshot())

    def nothing_is_due(self) -> None:
        assert ttl_sweep.collections_due(self.stores) == []
        snapshot = Replica(self.stores, self.id).snapshot()
        assert snapshot.records == len(self.visible())
        live = [record.metadata or {} for name, record in self.model.records.items() if name in self.visible()]
        timely = [metadata["until"] for metadata in live if type(metadata.get("until")) in (int, float)]
        assert snapshot.collection.next_expiry == min(timely, default=None)

    def visible(self) -> list[str]:
        return self.model.where(lambda record: not self.is_gone(record))

    def is_gone(self, record: Record) -> bool:
        return is_over(record, self.clock.seconds)


Machine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestMachine = pytest.mark.slow(Machine.TestCase)


class CollectionFixture:
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
def env(tmp_path: Path) -> CollectionFixture:
    return CollectionFixture(tmp_path)


def records(until: dict[str, Any], op: Op = Op.ADD, start: int = 0) -> Batch:
    """Records by id, with when they expire."""
    brought = np.arange(start, start + len(until) * DIMENSION, dtype=np.float32).reshape(len(until), DIMENSION)
    metadatas = [None if value is None else {"until": value} for value in until.values()]
    return Batch(op, list(until), brought, metadatas=metadatas)


def seen(stores: Stores, scope: Scope) -> list[str]:
    return Engine(stores).get(scope, Selection(), None, 0, NOTHING).ids


def test_expiry_at_a_write_is_decided_by_log_time(env: CollectionFixture) -> None:
    """A writer whose clock is behind decides as the log does, and so does every replica."""
    late = ManualClock(BEGIN - 100)
    behind, ahead = Engine(env.stores_of(late)), Engine(env.stores)
    behind.write(env.scope, records({"a": int(BEGIN) - 50, "b": int(BEGIN) + 50}))
    ahead.write(env.scope, records({"c": None}))
    behind.write(env.scope, records({"a": int(BEGIN) + 60, "b": int(BEGIN) + 60}, start=50))
    fresh = Replica(env.stores, env.id).snapshot()
    env.index()
    flushed = Replica(env.stores, env.id).snapshot()
    for snapshot in (fresh, flushed):
        assert snapshot.log_time == int(BEGIN * 1000)
        assert snapshot.records == 3
    # a came anew, after c; b was there.
    assert seen(env.stores, env.scope) == ["b", "c", "a"]
    env.clock.seconds += 50
    assert seen(env.stores, env.scope) == ["c", "a"]


def test_reads_go_by_the_present_key_and_entries_by_the_one_they_carry(env: CollectionFixture) -> None:
    engine = Engine(env.stores)
    engine.write(env.scope, records({"a": int(BEGIN) + 1, "b": int(BEGIN) + 1, "c": None}))
    env.index()
    env.clock.seconds += 2
    assert seen(env.stores, env.scope) == ["c"]
    engine.modify_collection(env.scope, new_metadata={"x": 1})
    assert collections.by_id(env.stores.table, env.id).next_expiry is None  # type: ignore[union-attr]
    assert seen(env.stores, env.scope) == ["a", "b", "c"]
    engine.write(env.scope, records({"a": None}))  # it is there
    assert seen(env.stores, env.scope) == ["a", "b", "c"]
    engine.modify_collection(env.scope, new_metadata=KEY)
    engine.write(env.scope, records({"a": None}))  # it is gone
    assert seen(env.stores, env.scope) == ["c", "a"]
    assert ttl_sweep.collections_due(env.stores) == [env.id]
    env.index()
    assert ttl_sweep.collections_due(env.stores) == []
    assert Replica(env.stores, env.id).snapshot().records == 2


def test_an_unused_ttl_key_is_searched_once(env: CollectionFixture) -> None:
    engine = Engine(env.stores)
    engine.write(env.scope, records({"a": int(BEGIN) + 5}))
    env.index()
    engine.modify_collection(env.scope, new_metadata={ttl.TTL_KEY: "other"})
    assert ttl_sweep.collections_due(env.stores) == [env.id]
    env.index()
    assert ttl_sweep.collections_due(env.stores) == []
    env.clock.seconds += 10
    assert ttl_sweep.collections_due(env.stores) == []
    assert seen(env.stores, env.scope) == ["a"]


@pytest.mark.parametrize("key", ["", "#id", "$x", 5, None, ["until"], True])
def test_a_key_that_cannot_be_one_is_refused(env: CollectionFixture, key: Any) -> None:
    with pytest.raises(InvalidArgument, match="afterglow:ttl_key must name a metadata key"):
        new_collection(env.stores, "refused", metadata={ttl.TTL_KEY: key})
    with pytest.raises(InvalidArgument, match="afterglow:ttl_key must name a metadata key"):
        Engine(env.stores).modify_collection(env.scope, new_metadata={ttl.TTL_KEY: key})
    assert collections.by_id(env.stores.table, env.id).metadata == KEY  # type: ignore[union-attr]


def test_a_record_extended_during_the_sweep_stays(env: CollectionFixture) -> None:
    """The indexer's clock is ahead: it finds expired what a writer still finds there, and puts off."""
    ahead = env.stores_of(ManualClock(BEGIN + 10))
    engine = Engine(env.stores)
    engine.write(env.scope, records({"a": int(BEGIN) + 5, "b": int(BEGIN) + 5}))
    env.index()
    replica = Replica.for_indexer(ahead, env.id)
    snapshot = replica.snapshot()
    engine.write(env.scope, records({"a": int(BEGIN) + 50}, Op.UPDATE, start=9))
    assert ttl_sweep.delete_expired(ahead, replica, snapshot) == 1
    assert seen(env.stores, env.scope) == ["a"]


def test_concurrent_sweeps_delete_expired_records_once(env: CollectionFixture) -> None:
    Engine(env.stores).write(env.scope, records({f"{number}": int(BEGIN) + 1 for number in range(20)}))
    env.index()
    env.clock.seconds += 2
    replicas = [Replica.for_indexer(env.stores, env.id) for _ in range(2)]
    snapshots = [replica.snapshot() for replica in replicas]
    assert [ttl_sweep.delete_expired(env.stores, *pair) for pair in zip(replicas, snapshots, strict=True)] == [20, 0]


def test_the_space_of_expired_records_is_reclaimed(env: CollectionFixture) -> None:
    engine = Engine(env.stores)
    engine.write(env.scope, records({f"{number}": int(BEGIN) + 1 + number % 2 * 100 for number in range(40)}))
    env.index()
    env.clock.seconds += 50
    env.index()
    (segment,) = Replica(env.stores, env.id).snapshot().manifest.segments
    assert (segment.rows, segment.deleted_rows) == (20, 0)
    assert seen(env.stores, env.scope) == [f"{number}" for number in range(1, 40, 2)]
