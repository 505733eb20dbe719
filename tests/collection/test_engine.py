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
class CollectionFixture:
    """A collection, and what it takes to open further engines on it."""

    stores: Stores
    clock: Clock
    scope: Scope

    def engine(self) -> Engine:
        return Engine(self.stores)

    def index(self) -> None:
        index(self.stores, Replica.for_indexer(self.stores, self.scope.collection), self.scope.collection, idle=True)

    def pass_a_week(self) -> None:
        self.clock.skipped += 7 * 24 * 3600
        trim.delete_placeholders(self.stores, self.scope.collection, up_to=1_000)


@pytest.fixture
def env() -> Iterator[CollectionFixture]:
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, clock=clock)
        yield CollectionFixture(stores, clock, new_collection(stores)[0])
        stores.table.close()


def records(*names: str, op: Op = Op.ADD, dimension: int = 3, **fields: Any) -> Batch:
    return Batch(op, list(names), np.ones((len(names), dimension), dtype=np.float32), **fields)


def ids_in(engine: Engine, scope: Scope) -> list[str]:
    return engine.get(scope, Selection(), None, 0, NOTHING).ids


def test_every_engine_sees_every_write_at_once(env: CollectionFixture) -> None:
    one, other = env.engine(), Engine(env.stores, Later())
    for number in range(30):
        writer, reader = (one, other) if number % 2 else (other, one)
        writer.write(env.scope, records(f"{number}"))
        assert ids_in(reader, env.scope) == [f"{index}" for index in range(number + 1)]
        if number % 10 == 9:
            env.index()


@pytest.mark.parametrize("in_background", [False, True])
def test_a_replica_starts_over_after_missing_a_trim(env: CollectionFixture, in_background: bool) -> None:
    sleeper = Engine(env.stores, Later() if in_background else None)
    writer = env.engine()
    writer.write(env.scope, records("a"))
    assert ids_in(sleeper, env.scope) == ["a"]
    writer.write(env.scope, records("b"))
    env.index()
    assert ids_in(sleeper, env.scope) == ["a", "b"]
    writer.write(env.scope, records("c"))
    writer.write(env.scope, records("d"))
    env.index()
    writer.write(env.scope, records("e"))
    assert ids_in(sleeper, env.scope) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("in_background", [False, True])
def test_a_replica_starts_over_after_the_placeholders_expired(env: CollectionFixture, in_background: bool) -> None:
    sleeper = Engine(env.stores, Later() if in_background else None)
    writer = env.engine()
    writer.write(env.scope, records("a"))
    assert ids_in(sleeper, env.scope) == ["a"]
    writer.write(env.scope, records("b"))
    env.index()
    env.pass_a_week()
    assert ids_in(sleeper, env.scope) == ["a", "b"]


def test_a_delete_by_filter_on_an_outdated_replica_follows_the_missed_entries(env: CollectionFixture) -> None:
    sleeper = Engine(env.stores, Later())
    writer = env.engine()
    writer.write(env.scope, records("a", metadatas=[{"k": 1}]))
    assert ids_in(sleeper, env.scope) == ["a"]
    writer.write(env.scope, records("b", metadatas=[{"k": 1}]))
    env.index()
    env.pass_a_week()
    assert sleeper.delete(env.scope, Selection(where=parse_where({"k": 1}))).count == 2
    for engine in (sleeper, writer, env.engine()):
        assert ids_in(engine, env.scope) == []


@pytest.mark.parametrize("trust_seconds", [SMALL.log_end_cache_seconds, 1e9])
def test_a_writer_that_slept_a_week_writes_at_the_end(env: CollectionFixture, trust_seconds: float) -> None:
    """However long its knowledge is trusted: by now the number after what it knows is free again."""
    long_cache = replace(env.stores, settings=replace(SMALL, log_end_cache_seconds=trust_seconds))
    sleeper, writer = Engine(long_cache), env.engine()
    sleeper.write(env.scope, records("a"))
    for name in "bcd":
        writer.write(env.scope, records(name))
    env.index()
    env.pass_a_week()
    sleeper.write(env.scope, records("e"))
    for engine in (sleeper, writer, env.engine()):
        assert ids_in(engine, env.scope) == ["a", "b", "c", "d", "e"]


def test_a_background_refresh_changes_nothing_but_the_checkpoint(env: CollectionFixture) -> None:
    later = Later()
    reader, writer = Engine(env.stores, later), env.engine()
    writer.write(env.scope, records("a", "b"))
    assert ids_in(reader, env.scope) == ["a", "b"]
    env.index()
    assert ids_in(reader, env.scope) == ["a", "b"]
    writer.write(env.scope, records("c"))
    later.run()
    assert ids_in(reader, env.scope) == ["a", "b", "c"]
    assert reader.get(env.scope, Selection(["b", "c"]), None, 0, EVERYTHING).ids == ["b", "c"]


def test_of_two_first_dimensions_one_wins(env: CollectionFixture) -> None:
    engines = [env.engine() for _ in range(4)]

    def work(number: int) -> int | None:
        try:
            engines[number].write(env.scope, records(f"{number}", dimension=2 + number % 2))
        except InvalidArgument:
            return None
        return 2 + number % 2

    with ThreadPoolExecutor(4) as pool:
        won = set(pool.map(work, range(4))) - {None}
    assert len(won) == 1
    for engine in engines:
        with pytest.raises(InvalidArgument, match="expecting embedding with dimension of"):
            engine.write(env.scope, records("late", dimension=5))
    found = collections.by_id(env.stores.table, env.scope.collection)
    assert found is not None
    assert {found.dimension} == won
    embeddings = env.engine().get(env.scope, Selection(), None, 0, EVERYTHING).embeddings
    assert embeddings is not None
    assert embeddings.shape[1] == found.dimension


def test_a_dropped_collection_takes_no_more_writes(env: CollectionFixture) -> None:
    warm, dropper = env.engine(), env.engine()
    warm.write(env.scope, records("a"))
    assert ids_in(warm, env.scope) == ["a"]
    dropper.delete_collection("default_tenant", "default_database", "tested")
    with pytest.raises(NotFound):
        warm.write(env.scope, records("b"))
    with pytest.raises(NotFound):
        warm.delete(env.scope, Selection(["a"]))
    with pytest.raises(NotFound):
        warm.delete(env.scope, Selection(where=parse_where({"k": {"$ne": 1}})))
    with pytest.raises(NotFound):
        ids_in(warm, env.scope)
    with pytest.raises(NotFound):
        warm.count(env.scope)


def test_the_seal_is_the_last_entry_even_after_a_trim(env: CollectionFixture) -> None:
    warm = env.engine()
    for name in "abc":
        warm.write(env.scope, records(name))
    env.index()
    env.pass_a_week()
    collections.drop(env.stores.table, env.stores.system, env.scope.collection)
    seal_log(env.stores, env.scope.collection)
    seal_log(env.stores, env.scope.collection)
    with pytest.raises(NotFound):
        warm.write(env.scope, records("d"))


def test_another_database_cannot_reach_a_collection(env: CollectionFixture) -> None:
    warm = env.engine()
    warm.write(env.scope, records("a"))
    wrong = replace(env.scope, database="other")
    for engine in (warm, env.engine()):
        with pytest.raises(NotFound):
            engine.write(wrong, records("b"))
        with pytest.raises(NotFound):
            ids_in(engine, wrong)


def test_a_long_unflushed_log_refuses_writes_until_it_is_flushed(env: CollectionFixture) -> None:
    limited = Stores(
        env.stores.table,
        env.stores.objects,
        env.stores.queue,
        replace(SMALL, max_unflushed_ops=10),
        env.stores.system,
    )
    one, other = Engine(limited), Engine(limited)
    for number in range(10):
        one.write(env.scope, records(f"{number}"))
    for engine in (one, other):
        with pytest.raises(Busy, match="10 operations wait") as caught:
            engine.write(env.scope, records("more"))
        assert caught.value.retry_after > 0
    assert len(ids_in(one, env.scope)) == 10
    env.index()
    for engine in (one, other):
        engine.write(env.scope, records("more"))


def test_concurrent_writers_lose_nothing_and_agree_on_the_order(env: CollectionFixture) -> None:
    engines = [env.engine() for _ in range(3)]

    def work(number: int) -> None:
        for step in range(15):
            engines[number].write(env.scope, records(f"{number}-{step}"))
            if step % 5 == 4:
                engines[number].delete(env.scope, Selection([f"{number}-{step}"]))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    orders = [ids_in(engine, env.scope) for engine in (*engines, env.engine())]
    assert all(order == orders[0] for order in orders)
    assert sorted(orders[0]) == sorted(f"{number}-{step}" for number in range(3) for step in range(15) if step % 5 != 4)
    for number in range(3):
        own = [name for name in orders[0] if name.startswith(f"{number}-")]
        assert own == sorted(own, key=lambda name: int(name.partition("-")[2]))


def test_concurrent_deletes_by_filter_delete_exactly_the_counted_records(env: CollectionFixture) -> None:
    env.engine().write(env.scope, records(*map(str, range(40)), metadatas=[{"k": 1}] * 40))
    engines = [env.engine() for _ in range(3)]
    where = parse_where({"k": 1})

    def work(number: int) -> int:
        return sum(engines[number].delete(env.scope, Selection(where=where), 4).count for _ in range(3))

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(work, range(3))) == 36
    assert len(ids_in(env.engine(), env.scope)) == 4


@pytest.mark.parametrize("seed", range(8))
def test_a_failing_store_never_doubles_or_halves_a_write(env: CollectionFixture, seed: int) -> None:
    faults = Faults(seeded(seed, 0.15, [Fault.REFUSED, Fault.LOST, Fault.REPEATED]))
    engine = Engine(with_faults(env.stores, faults))
    sure, unsure = [], []
    for number in range(40):
        names = [f"{number}-{row}" for row in range(1 + number % 3 * 20)]
        try:
            engine.write(env.scope, records(*names))
        except Unavailable:
            unsure.append(names)
        else:
            sure.append(names)
    found = ids_in(env.engine(), env.scope)
    assert len(set(found)) == len(found)
    for names in sure:
        assert set(names) <= set(found)
    for names in unsure:
        assert len(set(names) & set(found)) in (0, len(names))
    status = env.engine().indexing_status(env.scope)
    assert status.total_ops == len(found)


def test_a_lost_batch_fails_its_collection_alone(env: CollectionFixture) -> None:
    other, _ = new_collection(env.stores, "other")
    engine = env.engine()
    engine.write(env.scope, records(*map(str, range(50))))
    engine.write(other, records("fine"))
    (payload,) = env.stores.objects.list(f"{env.scope.collection}/log/")
    env.stores.objects.delete(payload.key)
    for _ in range(2):
        with pytest.raises(Corrupt, match=payload.key):
            ids_in(engine, env.scope)
    assert ids_in(engine, other) == ["fine"]


@pytest.mark.parametrize("op", ["add", "delete by filter"])
def test_a_delayed_append_references_no_deleted_object(env: CollectionFixture, op: str) -> None:
    """Its object was collected meanwhile, as the log went on, and it dies as soon as its entry is there."""
    names = [f"record {number:080}" for number in range(8)]
    env.engine().write(env.scope, records(*names, metadatas=[{"k": 1}] * len(names)))
    env.index()
    batches = payload_prefix(env.scope.collection)
    slept: list[str] = []
    appends: list[str] = []

    def now() -> float:
        if not slept:
            slept.extend(info.key for info in env.stores.objects.list(batches))
            if slept:
                env.clock.skipped += 2 * SMALL.gc_grace_seconds
                env.engine().write(env.scope, records("other"))
                env.index()
                assert [*env.stores.objects.list(batches)] == []
        return env.clock.now()

    def fault(_: int, name: str) -> Fault | None:
        if name == "table.transact" and slept:
            appends.append(name)
        return Fault.CRASH_AFTER if len(appends) == 2 else None

    stores = replace(env.stores, system=replace(env.stores.system, now=now))
    engine = Engine(with_faults(stores, Faults(fault)))
    more = [f"more {name}" for name in names]
    requests: dict[str, Callable[[], object]] = {
        "add": lambda: engine.write(env.scope, records(*more)),
        "delete by filter": lambda: engine.delete(env.scope, Selection(where=parse_where({"k": 1}))),
    }
    with pytest.raises(Crash):
        requests[op]()
    assert slept
    assert ids_in(env.engine(), env.scope) == ([*names, "other", *more] if op == "add" else ["other"])


def test_requests_for_missing_collections_close_and_open_no_replica(env: CollectionFixture) -> None:
    few = replace(env.stores, settings=replace(SMALL, max_open_collections=2))
    engine = Engine(few)
    scopes = [env.scope, new_collection(few, "other")[0]]
    for scope in scopes:
        engine.write(scope, records("a"))
        assert ids_in(engine, scope) == ["a"]
    opened = engine._reader._cache.ids()
    dropped, _ = new_collection(few, "dropped")
    engine.delete_collection(dropped.tenant, dropped.database, "dropped")
    where = Selection(where=parse_where({"k": 1}))
    for missing in [dropped, *(replace(env.scope, collection=UUID(int=number)) for number in range(3))]:
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


def test_a_write_during_a_drop_leaves_no_replica_open(env: CollectionFixture) -> None:
    engine = env.engine()
    engine.write(env.scope, records("a"))
    other = env.engine()
    other.delete_collection(env.scope.tenant, env.scope.database, "tested")
    with pytest.raises(NotFound):
        engine.write(env.scope, records("b"))
    assert not engine._reader._cache.ids()


def test_replicas_beyond_the_limit_are_closed_and_opened_again(env: CollectionFixture) -> None:
    few = replace(env.stores, settings=replace(SMALL, max_open_collections=2))
    engine = Engine(few)
    scopes = [new_collection(few, f"number-{number}")[0] for number in range(5)]
    for _ in range(2):
        for number, scope in enumerate(scopes):
            engine.write(scope, records(f"{number}", op=Op.UPSERT))
    assert [ids_in(engine, scope) for scope in scopes] == [[f"{number}"] for number in range(5)]


def test_get_or_create_goes_on_where_the_one_that_was_first_is_deleted_again(
    env: CollectionFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, beaten = collections.create, iter([True, True])

    def late(table: Table, collection: Collection) -> None:
        if next(beaten, False):
            raise AlreadyExists(f"Collection [{collection.name}] already exists")
        create(table, collection)

    monkeypatch.setattr(collections, "create", late)
    engine = env.engine()
    with pytest.raises(AlreadyExists):
        engine.create_collection("default_tenant", "default_database", "new", None, {"keys": {}})
    made = engine.create_collection("default_tenant", "default_database", "new", None, {"keys": {}}, get_or_create=True)
    assert engine.get_collection("default_tenant", "default_database", "new") == made
