"""Forks beside whatever else goes on, and what they add to the stores."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from afterglow.catalog import Database, collections, deletions, lineage
from afterglow.catalog.model import Collection
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.time_travel import fork as forking
from afterglow.collection.time_travel.fork import ForkRequest
from afterglow.collection.types import Scope, Selection
from afterglow.errors import AfterglowError, AlreadyExists, NotFound, Unavailable
from afterglow.jobs import gc
from afterglow.jobs import purge as cleaning
from afterglow.jobs.indexer import index
from afterglow.jobs.reachability import objects_of_manifest
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores, Write
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import WITH_RETENTION, Clock, new_collection, quick_folder, stores_at, with_faults

TENANT, DATABASE = "default_tenant", "default_database"


@dataclass
class World:
    stores: Stores
    clock: Clock
    scope: Scope

    @property
    def place(self) -> Database:
        return Engine(self.stores).catalog.get_database(TENANT, DATABASE)

    def write(self, scope: Scope, *names: str) -> None:
        Engine(self.stores).write(scope, Batch(Op.UPSERT, list(names), np.ones((len(names), 2), np.float32)))

    def index(self, scope: Scope) -> None:
        index(self.stores, Replica.for_indexer(self.stores, scope.collection), scope.collection, idle=True)

    def ids(self, scope: Scope) -> list[str]:
        return Engine(self.stores).get(scope, Selection(), None, 0, frozenset()).ids

    def fork(self, name: str, stores: Stores | None = None) -> Scope:
        made = forking.fork(stores or self.stores, self.scope.collection, ForkRequest(self.place, name), None)
        return Scope(TENANT, DATABASE, made.id)

    def objects(self) -> set[str]:
        return {info.key for info in self.stores.objects.list("")}


@pytest.fixture
def world() -> Iterator[World]:
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, WITH_RETENTION, clock)
        scope, _ = new_collection(stores)
        yield World(stores, clock, scope)
        stores.table.close()


class Meanwhile:
    """A table before whose transaction something else happens, as often as is asked."""

    def __init__(self, table: Any, what: Callable[[], object], times: int = 1) -> None:
        self._table, self._what, self.times = table, what, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def transact(self, writes: Sequence[Write]) -> None:
        if self.times:
            self.times -= 1
            self._what()
        self._table.transact(writes)


def test_a_fork_adds_no_object_even_of_what_is_not_indexed(world: World) -> None:
    world.write(world.scope, *(f"r{number}" for number in range(40)))
    world.index(world.scope)
    world.write(world.scope, *(f"s{number}" for number in range(40)))  # a batch in an object
    before = world.objects()
    forks = [world.fork(f"fork-{number}") for number in range(30)]
    assert world.objects() == before
    assert all(world.ids(each) == world.ids(world.scope) for each in forks)
    state = collections.by_id(world.stores.table, world.scope.collection)
    assert state is not None
    assert lineage.fork_count(world.stores.table, state.lineage_id) == 30


def test_a_fold_between_its_two_reads_and_its_transaction(world: World) -> None:
    """Also one that takes what was read away again."""
    world.write(world.scope, "a", "b")

    def fold_and_tidy() -> None:
        world.write(world.scope, f"c{world.clock.skipped}")
        world.index(world.scope)
        world.clock.skipped += 700.0
        gc.collect_garbage(world.stores, world.scope.collection)

    table = Meanwhile(world.stores.table, fold_and_tidy, 3)
    fork = world.fork("fork", replace(world.stores, table=table))
    assert table.times == 0
    assert world.ids(fork) == world.ids(world.scope)
    world.clock.skipped += 700.0
    cleaning.purge_dropped(world.stores)
    gc.collect_garbage(world.stores, world.scope.collection)
    assert world.ids(fork) == world.ids(world.scope)
    world.clock.skipped += 2_000.0
    cleaning.purge_dropped(world.stores)
    assert deletions.list_records(world.stores.table) == []


def test_a_source_that_never_stands_still(world: World) -> None:
    world.write(world.scope, "a")

    def change() -> None:
        Engine(world.stores).modify_collection(world.scope, new_metadata={"n": world.clock.skipped})
        world.clock.skipped += 0.001

    with pytest.raises(Unavailable, match="too fast to fork"):
        world.fork("fork", replace(world.stores, table=Meanwhile(world.stores.table, change, 1_000)))
    with pytest.raises(NotFound):
        Engine(world.stores).get_collection(TENANT, DATABASE, "fork")


@pytest.mark.parametrize("what", ["name", "database", "source"])
def test_what_goes_away_or_comes_meanwhile(world: World, what: str) -> None:
    world.write(world.scope, "a")
    engine = Engine(world.stores)
    engine.catalog.create_database(TENANT, "other")
    wish = ForkRequest(engine.catalog.get_database(TENANT, "other"), "fork")
    happenings: dict[str, tuple[Callable[[], object], type[AfterglowError]]] = {
        "name": (lambda: engine.create_collection(TENANT, "other", "fork", None, {"keys": {}}), AlreadyExists),
        "database": (lambda: engine.delete_database(TENANT, "other"), NotFound),
        "source": (lambda: engine.delete_collection(TENANT, DATABASE, "tested"), NotFound),
    }
    happening, error = happenings[what]
    table = Meanwhile(world.stores.table, happening)
    with pytest.raises(error):
        forking.fork(replace(world.stores, table=table), world.scope.collection, wish, None)


def test_one_whose_cleaning_has_begun_is_not_finished(world: World) -> None:
    """A process that slept in the middle of a fork, until the janitor took it for dead."""
    world.write(world.scope, "a")

    def clean() -> None:
        world.clock.skipped += WITH_RETENTION.gc_grace_seconds + 1
        cleaning.purge_dropped(world.stores)

    fork = world.fork("fork", replace(world.stores, table=Meanwhile(world.stores.table, clean)))
    assert world.ids(fork) == ["a"]
    world.write(fork, "b")
    assert world.ids(fork) == ["a", "b"]


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST, Fault.REFUSED, Fault.REPEATED])
@pytest.mark.parametrize("tail", [0, 3, 40])
def test_any_call_may_be_the_last(world: World, fault: Fault, tail: int) -> None:
    world.write(world.scope, *(f"r{number}" for number in range(20)))
    world.index(world.scope)
    if tail:
        world.write(world.scope, *(f"s{number}" for number in range(tail)))
    expected = world.ids(world.scope)
    for number in range(20):
        name, faults = f"fork-{number}", Faults(nth(number, fault))
        try:
            world.fork(name, with_faults(world.stores, faults))
        except (AfterglowError, Crash):
            pass
        found = [each for each in Engine(world.stores).list_collections(TENANT, DATABASE) if each.name == name]
        assert [world.ids(scope_of(each)) for each in found] in ([], [expected])
        if len(faults.calls) <= number:
            break
    else:
        raise AssertionError("the fork makes more calls than were tried")
    for each in Engine(world.stores).list_collections(TENANT, DATABASE):
        Engine(world.stores).delete_collection(TENANT, DATABASE, each.name)
    world.clock.skipped += 3_000.0
    cleaning.purge_dropped(world.stores)
    cleaning.purge_dropped(world.stores)
    assert not world.objects()
    assert deletions.list_records(world.stores.table) == []


def scope_of(collection: Collection) -> Scope:
    return Scope(TENANT, DATABASE, collection.id)


def test_a_dropped_fork_holds_nothing_once_it_cannot_be_restored(world: World) -> None:
    world.write(world.scope, *(f"r{number}" for number in range(20)))
    world.index(world.scope)
    world.fork("fork")
    Engine(world.stores).delete_collection(TENANT, DATABASE, "fork")
    before = world.objects()
    world.write(world.scope, *(f"r{number}" for number in range(20)))
    world.index(world.scope)
    world.clock.skipped += WITH_RETENTION.retention_seconds + 3 * WITH_RETENTION.gc_grace_seconds
    assert WITH_RETENTION.log_placeholder_ttl_seconds > WITH_RETENTION.retention_seconds + 100
    cleaning.purge_dropped(world.stores)
    gc.collect_garbage(world.stores, world.scope.collection)
    assert not before & world.objects()
    assert len(world.ids(world.scope)) == 20


def test_what_is_shared_goes_with_the_last_that_needs_it(world: World) -> None:
    world.write(world.scope, *(f"r{number}" for number in range(20)))
    world.index(world.scope)
    state = collections.by_id(world.stores.table, world.scope.collection)
    assert state is not None
    assert state.manifest_key is not None
    shared = objects_of_manifest(world.stores.objects, state.manifest_key)
    fork = world.fork("fork")
    Engine(world.stores).delete_collection(TENANT, DATABASE, "tested")
    world.clock.skipped += 3_000.0
    cleaning.purge_dropped(world.stores)
    assert shared == world.objects()
    assert len(world.ids(fork)) == 20
    # The fork writes everything anew, so that it needs nothing any more of what it took over.
    world.write(fork, *(f"r{number}" for number in range(20)))
    world.index(fork)
    world.clock.skipped += 3_000.0
    gc.collect_garbage(world.stores, fork.collection)
    cleaning.purge_dropped(world.stores)
    # Only its name for what it took over stays, as long as it is there itself.
    assert shared & world.objects() == {state.manifest_key}
    assert len(world.ids(fork)) == 20
    Engine(world.stores).delete_collection(TENANT, DATABASE, "fork")
    world.clock.skipped += 3_000.0
    cleaning.purge_dropped(world.stores)
    cleaning.purge_dropped(world.stores)
    assert not world.objects()
