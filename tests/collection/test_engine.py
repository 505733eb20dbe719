"""Promises of the engine, one by one: freshness, races, drops, limits, the planner."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from afterglow.catalog import Collection, collections
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.collection.write.write_path import seal_log
from afterglow.errors import AlreadyExists, Busy, Corrupt, InvalidArgument, NotFound, Unavailable
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log import trim
from afterglow.log.batch import Batch, Op
from afterglow.log.entry import payload_prefix
from afterglow.storage.ports import Stores, Table
from tests.collection.test_machine import Later
from tests.support.faulty import Crash, Fault, Faults, seeded
from tests.support.model import EVERYTHING
from tests.support.stores import SMALL, Clock, new_collection, quick_folder, stores_at, with_faults

NOTHING = frozenset[Include]()


@dataclass
class World:
    """A collection, and what it takes to open further engines on it."""

    stores: Stores
    clock: Clock
    scope: Scope

    def engine(self) -> Engine:
        return Engine(self.stores)

    def index(self) -> None:
        index(self.stores, Replica.for_indexer(self.stores, self.scope.collection), self.scope.collection, idle=True)

    def pass_a_week(self) -> None:
        self.clock.skipped += self.stores.settings.log_placeholder_ttl_seconds + 1
        trim.delete_expired_placeholders(self.stores, self.scope.collection)


@pytest.fixture
def world() -> Iterator[World]:
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, clock=clock)
        yield World(stores, clock, new_collection(stores)[0])
        stores.table.close()


def records(*names: str, op: Op = Op.ADD, dimension: int = 3, **fields: Any) -> Batch:
    return Batch(op, list(names), np.ones((len(names), dimension), dtype=np.float32), **fields)


def ids_in(engine: Engine, scope: Scope) -> list[str]:
    return engine.get(scope, Selection(), None, 0, NOTHING).ids


def test_every_engine_sees_every_write_at_once(world: World) -> None:
    one, other = world.engine(), Engine(world.stores, Later())
    for number in range(30):
        writer, reader = (one, other) if number % 2 else (other, one)
        writer.write(world.scope, records(f"{number}"))
        assert ids_in(reader, world.scope) == [f"{each}" for each in range(number + 1)]
        if number % 10 == 9:
            world.index()


@pytest.mark.parametrize("in_background", [False, True])
def test_a_replica_that_slept_through_a_trim_begins_again(world: World, in_background: bool) -> None:
    sleeper = Engine(world.stores, Later() if in_background else None)
    writer = world.engine()
    writer.write(world.scope, records("a"))
    assert ids_in(sleeper, world.scope) == ["a"]
    writer.write(world.scope, records("b"))
    world.index()
    assert ids_in(sleeper, world.scope) == ["a", "b"]
    writer.write(world.scope, records("c"))
    writer.write(world.scope, records("d"))
    world.index()
    writer.write(world.scope, records("e"))
    assert ids_in(sleeper, world.scope) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("in_background", [False, True])
def test_a_replica_that_slept_until_the_stubs_expired_begins_again(world: World, in_background: bool) -> None:
    sleeper = Engine(world.stores, Later() if in_background else None)
    writer = world.engine()
    writer.write(world.scope, records("a"))
    assert ids_in(sleeper, world.scope) == ["a"]
    writer.write(world.scope, records("b"))
    world.index()
    world.pass_a_week()
    assert ids_in(sleeper, world.scope) == ["a", "b"]


def test_a_delete_by_filter_of_a_sleeper_lands_after_what_it_missed(world: World) -> None:
    sleeper = Engine(world.stores, Later())
    writer = world.engine()
    writer.write(world.scope, records("a", metadatas=[{"k": 1}]))
    assert ids_in(sleeper, world.scope) == ["a"]
    writer.write(world.scope, records("b", metadatas=[{"k": 1}]))
    world.index()
    world.pass_a_week()
    assert sleeper.delete(world.scope, Selection(where=parse_where({"k": 1}))).count == 2
    for engine in (sleeper, writer, world.engine()):
        assert ids_in(engine, world.scope) == []


@pytest.mark.parametrize("trust_seconds", [SMALL.log_end_cache_seconds, 1e9])
def test_a_writer_that_slept_a_week_writes_at_the_end(world: World, trust_seconds: float) -> None:
    """However long its knowledge is trusted: by now the number after what it knows is free again."""
    trusting = replace(world.stores, settings=replace(SMALL, log_end_cache_seconds=trust_seconds))
    sleeper, writer = Engine(trusting), world.engine()
    sleeper.write(world.scope, records("a"))
    for name in "bcd":
        writer.write(world.scope, records(name))
    world.index()
    world.pass_a_week()
    sleeper.write(world.scope, records("e"))
    for engine in (sleeper, writer, world.engine()):
        assert ids_in(engine, world.scope) == ["a", "b", "c", "d", "e"]


def test_a_background_refresh_changes_nothing_but_the_checkpoint(world: World) -> None:
    later = Later()
    reader, writer = Engine(world.stores, later), world.engine()
    writer.write(world.scope, records("a", "b"))
    assert ids_in(reader, world.scope) == ["a", "b"]
    world.index()
    assert ids_in(reader, world.scope) == ["a", "b"]
    writer.write(world.scope, records("c"))
    later.run()
    assert ids_in(reader, world.scope) == ["a", "b", "c"]
    assert reader.get(world.scope, Selection(["b", "c"]), None, 0, EVERYTHING).ids == ["b", "c"]


def test_of_two_first_dimensions_one_wins(world: World) -> None:
    engines = [world.engine() for _ in range(4)]

    def work(number: int) -> int | None:
        try:
            engines[number].write(world.scope, records(f"{number}", dimension=2 + number % 2))
        except InvalidArgument:
            return None
        return 2 + number % 2

    with ThreadPoolExecutor(4) as pool:
        won = set(pool.map(work, range(4))) - {None}
    assert len(won) == 1
    for engine in engines:
        with pytest.raises(InvalidArgument, match="expecting embedding with dimension of"):
            engine.write(world.scope, records("late", dimension=5))
    found = collections.by_id(world.stores.table, world.scope.collection)
    assert found is not None
    assert {found.dimension} == won
    embeddings = world.engine().get(world.scope, Selection(), None, 0, EVERYTHING).embeddings
    assert embeddings is not None
    assert embeddings.shape[1] == found.dimension


def test_a_dropped_collection_takes_no_more_writes(world: World) -> None:
    warm, dropper = world.engine(), world.engine()
    warm.write(world.scope, records("a"))
    assert ids_in(warm, world.scope) == ["a"]
    dropper.delete_collection("default_tenant", "default_database", "tested")
    with pytest.raises(NotFound):
        warm.write(world.scope, records("b"))
    with pytest.raises(NotFound):
        warm.delete(world.scope, Selection(["a"]))
    with pytest.raises(NotFound):
        warm.delete(world.scope, Selection(where=parse_where({"k": {"$ne": 1}})))
    with pytest.raises(NotFound):
        ids_in(warm, world.scope)
    with pytest.raises(NotFound):
        warm.count(world.scope)


def test_the_fence_stands_at_the_end_whatever_was_trimmed(world: World) -> None:
    warm = world.engine()
    for name in "abc":
        warm.write(world.scope, records(name))
    world.index()
    world.pass_a_week()
    collections.drop(world.stores.table, world.stores.system, world.scope.collection)
    seal_log(world.stores, world.scope.collection)
    seal_log(world.stores, world.scope.collection)
    with pytest.raises(NotFound):
        warm.write(world.scope, records("d"))


def test_another_database_cannot_reach_a_collection(world: World) -> None:
    warm = world.engine()
    warm.write(world.scope, records("a"))
    wrong = replace(world.scope, database="other")
    for engine in (warm, world.engine()):
        with pytest.raises(NotFound):
            engine.write(wrong, records("b"))
        with pytest.raises(NotFound):
            ids_in(engine, wrong)


def test_a_long_tail_refuses_writes_until_it_is_folded(world: World) -> None:
    limited = Stores(
        world.stores.table,
        world.stores.objects,
        world.stores.queue,
        replace(SMALL, max_unflushed_ops=10),
        world.stores.system,
    )
    one, other = Engine(limited), Engine(limited)
    for number in range(10):
        one.write(world.scope, records(f"{number}"))
    for engine in (one, other):
        with pytest.raises(Busy, match="10 operations wait") as caught:
            engine.write(world.scope, records("more"))
        assert caught.value.retry_after > 0
    assert len(ids_in(one, world.scope)) == 10
    world.index()
    for engine in (one, other):
        engine.write(world.scope, records("more"))


def test_concurrent_writers_lose_nothing_and_agree_on_the_order(world: World) -> None:
    engines = [world.engine() for _ in range(3)]

    def work(number: int) -> None:
        for step in range(15):
            engines[number].write(world.scope, records(f"{number}-{step}"))
            if step % 5 == 4:
                engines[number].delete(world.scope, Selection([f"{number}-{step}"]))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    orders = [ids_in(engine, world.scope) for engine in (*engines, world.engine())]
    assert all(order == orders[0] for order in orders)
    assert sorted(orders[0]) == sorted(f"{number}-{step}" for number in range(3) for step in range(15) if step % 5 != 4)
    for number in range(3):
        own = [name for name in orders[0] if name.startswith(f"{number}-")]
        assert own == sorted(own, key=lambda name: int(name.partition("-")[2]))


def test_concurrent_deletes_by_filter_each_delete_what_they_counted(world: World) -> None:
    world.engine().write(world.scope, records(*map(str, range(40)), metadatas=[{"k": 1}] * 40))
    engines = [world.engine() for _ in range(3)]
    where = parse_where({"k": 1})

    def work(number: int) -> int:
        return sum(engines[number].delete(world.scope, Selection(where=where), 4).count for _ in range(3))

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(work, range(3))) == 36
    assert len(ids_in(world.engine(), world.scope)) == 4


@pytest.mark.parametrize("seed", range(8))
def test_a_failing_store_never_doubles_or_halves_a_write(world: World, seed: int) -> None:
    faults = Faults(seeded(seed, 0.15, [Fault.REFUSED, Fault.LOST, Fault.REPEATED]))
    engine = Engine(with_faults(world.stores, faults))
    sure, unsure = [], []
    for number in range(40):
        names = [f"{number}-{row}" for row in range(1 + number % 3 * 20)]
        try:
            engine.write(world.scope, records(*names))
        except Unavailable:
            unsure.append(names)
        else:
            sure.append(names)
    found = ids_in(world.engine(), world.scope)
    assert len(set(found)) == len(found)
    for names in sure:
        assert set(names) <= set(found)
    for names in unsure:
        assert len(set(names) & set(found)) in (0, len(names))
    status = world.engine().indexing_status(world.scope)
    assert status.total_ops == len(found)


def test_a_lost_batch_fails_its_collection_alone(world: World) -> None:
    other, _ = new_collection(world.stores, "other")
    engine = world.engine()
    engine.write(world.scope, records(*map(str, range(50))))
    engine.write(other, records("fine"))
    (payload,) = world.stores.objects.list(f"{world.scope.collection}/log/")
    world.stores.objects.delete(payload.key)
    for _ in range(2):
        with pytest.raises(Corrupt, match=payload.key):
            ids_in(engine, world.scope)
    assert ids_in(engine, other) == ["fine"]


@pytest.mark.parametrize("op", ["add", "delete by filter"])
def test_a_writer_that_slept_before_its_append_names_no_object_that_is_gone(world: World, op: str) -> None:
    """Its object was collected meanwhile, and it dies as soon as its entry stands."""
    names = [f"record {number:080}" for number in range(8)]
    world.engine().write(world.scope, records(*names, metadatas=[{"k": 1}] * len(names)))
    batches = payload_prefix(world.scope.collection)
    before = {info.key for info in world.stores.objects.list(batches)}
    slept: list[str] = []

    def now() -> float:
        if not slept:
            slept.extend(info.key for info in world.stores.objects.list(batches) if info.key not in before)
            for key in slept:
                world.stores.objects.delete(key)
                world.clock.skipped += 2 * SMALL.gc_grace_seconds
        return world.clock.now()

    faults = Faults(lambda _, name: Fault.CRASH_AFTER if name.startswith("table.put LOG") and slept else None)
    stores = replace(world.stores, system=replace(world.stores.system, now=now))
    engine = Engine(with_faults(stores, faults))
    more = [f"more {name}" for name in names]
    requests: dict[str, Callable[[], object]] = {
        "add": lambda: engine.write(world.scope, records(*more)),
        "delete by filter": lambda: engine.delete(world.scope, Selection(where=parse_where({"k": 1}))),
    }
    with pytest.raises(Crash):
        requests[op]()
    assert slept
    assert ids_in(world.engine(), world.scope) == ([*names, *more] if op == "add" else [])


def test_requests_for_what_is_not_there_close_nothing_and_leave_nothing_open(world: World) -> None:
    few = replace(world.stores, settings=replace(SMALL, max_open_collections=2))
    engine = Engine(few)
    scopes = [world.scope, new_collection(few, "other")[0]]
    for scope in scopes:
        engine.write(scope, records("a"))
        assert ids_in(engine, scope) == ["a"]
    opened = engine._reader._cache.ids()
    dropped, _ = new_collection(few, "dropped")
    engine.delete_collection(dropped.tenant, dropped.database, "dropped")
    where = Selection(where=parse_where({"k": 1}))
    for missing in [dropped, *(replace(world.scope, collection=UUID(int=number)) for number in range(3))]:
        requests = (
            lambda scope: engine.write(scope, records("b")),
            lambda scope: engine.delete(scope, Selection(ids=["b"])),
            lambda scope: engine.delete(scope, where),
            lambda scope: ids_in(engine, scope),
        )
        for request in requests:
            with pytest.raises(NotFound):
                request(missing)
        assert engine._reader._cache.ids() == opened


def test_a_write_that_meets_a_drop_leaves_nothing_open(world: World) -> None:
    engine = world.engine()
    engine.write(world.scope, records("a"))
    other = world.engine()
    other.delete_collection(world.scope.tenant, world.scope.database, "tested")
    with pytest.raises(NotFound):
        engine.write(world.scope, records("b"))
    assert not engine._reader._cache.ids()


def test_replicas_beyond_the_limit_are_closed_and_opened_again(world: World) -> None:
    few = replace(world.stores, settings=replace(SMALL, max_open_collections=2))
    engine = Engine(few)
    scopes = [new_collection(few, f"number-{number}")[0] for number in range(5)]
    for _ in range(2):
        for number, scope in enumerate(scopes):
            engine.write(scope, records(f"{number}", op=Op.UPSERT))
    assert [ids_in(engine, scope) for scope in scopes] == [[f"{number}"] for number in range(5)]


def test_get_or_create_goes_on_where_the_one_that_was_first_is_deleted_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, beaten = collections.create, iter([True, True])

    def late(table: Table, collection: Collection) -> None:
        if next(beaten, False):
            raise AlreadyExists(f"Collection [{collection.name}] already exists")
        create(table, collection)

    monkeypatch.setattr(collections, "create", late)
    engine = world.engine()
    with pytest.raises(AlreadyExists):
        engine.create_collection("default_tenant", "default_database", "new", None, {"keys": {}})
    made = engine.create_collection("default_tenant", "default_database", "new", None, {"keys": {}}, get_or_create=True)
    assert engine.get_collection("default_tenant", "default_database", "new") == made
