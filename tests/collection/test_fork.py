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
class CollectionFixture:
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
def env() -> Iterator[CollectionFixture]:
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, WITH_RETENTION, clock)
        scope, _ = new_collection(stores)
        yield CollectionFixture(stores, clock, scope)
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


def test_a_fork_adds_no_object_even_for_unindexed_records(env: CollectionFixture) -> None:
    env.write(env.scope, *(f"r{number}" for number in range(40)))
    env.index(env.scope)
    env.write(env.scope, *(f"s{number}" for number in range(40)))  # a batch in an object
    before = env.objects()
    forks = [env.fork(f"fork-{number}") for number in range(30)]
    assert env.objects() == before
    assert all(env.ids(fork) == env.ids(env.scope) for fork in forks)
    state = collections.by_id(env.stores.table, env.scope.collection)
    assert state is not None
    assert lineage.fork_count(env.stores.table, state.lineage_id) == 30


def test_a_flush_between_the_reads_and_the_transaction_of_a_fork(env: CollectionFixture) -> None:
    """Also one that takes what was read away again."""
    env.write(env.scope, "a", "b")

    def flush_and_clean_up() -> None:
        env.write(env.scope, f"c{env.clock.skipped}")
        env.index(env.scope)
        env.clock.skipped += 700.0
        gc.collect_garbage(env.stores, env.scope.collection)

    table = Meanwhile(env.stores.table, flush_and_clean_up, 3)
    fork = env.fork("fork", replace(env.stores, table=table))
    assert table.times == 0
    assert env.ids(fork) == env.ids(env.scope)
    env.clock.skipped += 700.0
    cleaning.purge_dropped(env.stores)
    gc.collect_garbage(env.stores, env.scope.collection)
    assert env.ids(fork) == env.ids(env.scope)
    env.clock.skipped += 2_000.0
    cleaning.purge_dropped(env.stores)
    assert deletions.list_records(env.stores.table) == []


def test_a_source_that_never_stands_still(env: CollectionFixture) -> None:
    env.write(env.scope, "a")

    def change() -> None:
        Engine(env.stores).modify_collection(env.scope, new_metadata={"n": env.clock.skipped})
        env.clock.skipped += 0.001

    with pytest.raises(Unavailable, match="too fast to fork"):
        env.fork("fork", replace(env.stores, table=Meanwhile(env.stores.table, change, 1_000)))
    with pytest.raises(NotFound):
        Engine(env.stores).get_collection(TENANT, DATABASE, "fork")


@pytest.mark.parametrize("what", ["name", "database", "source"])
def test_concurrent_drops_and_creates(env: CollectionFixture, what: str) -> None:
    env.write(env.scope, "a")
    engine = Engine(env.stores)
    engine.catalog.create_database(TENANT, "other")
    request = ForkRequest(engine.catalog.get_database(TENANT, "other"), "fork")
    happenings: dict[str, tuple[Callable[[], object], type[AfterglowError]]] = {
        "name": (lambda: engine.create_collection(TENANT, "other", "fork", None, {"keys": {}}), AlreadyExists),
        "database": (lambda: engine.delete_database(TENANT, "other"), NotFound),
        "source": (lambda: engine.delete_collection(TENANT, DATABASE, "tested"), NotFound),
    }
    happening, error = happenings[what]
    table = Meanwhile(env.stores.table, happening)
    with pytest.raises(error):
        forking.fork(replace(env.stores, table=table), env.scope.collection, request, None)


def test_one_whose_cleaning_has_begun_is_not_finished(env: CollectionFixture) -> None:
    """A process that slept in the middle of a fork, until the janitor took it for dead."""
    env.write(env.scope, "a")

    def clean() -> None:
        env.clock.skipped += WITH_RETENTION.gc_grace_seconds + 1
        cleaning.purge_dropped(env.stores)

    fork = env.fork("fork", replace(env.stores, table=Meanwhile(env.stores.table, clean)))
    assert env.ids(fork) == ["a"]
    env.write(fork, "b")
    assert env.ids(fork) == ["a", "b"]


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST, Fault.REFUSED, Fault.REPEATED])
@pytest.mark.parametrize("tail", [0, 3, 40])
def test_any_call_may_be_the_last(env: CollectionFixture, fault: Fault, tail: int) -> None:
    env.write(env.scope, *(f"r{number}" for number in range(20)))
    env.index(env.scope)
    if tail:
        env.write(env.scope, *(f"s{number}" for number in range(tail)))
    expected = env.ids(env.scope)
    for number in range(20):
        name, faults = f"fork-{number}", Faults(nth(number, fault))
        try:
            env.fork(name, with_faults(env.stores, faults))
        except (AfterglowError, Crash):
            pass
        forks = [entry for entry in Engine(env.stores).list_collections(TENANT, DATABASE) if entry.name == name]
        assert [env.ids(scope_of(fork)) for fork in forks] in ([], [expected])
        if len(faults.calls) <= number:
            break
    else:
        raise AssertionError("the fork makes more calls than were tried")
    for collection in Engine(env.stores).list_collections(TENANT, DATABASE):
        Engine(env.stores).delete_collection(TENANT, DATABASE, collection.name)
    env.clock.skipped += 3_000.0
    cleaning.purge_dropped(env.stores)
    cleaning.purge_dropped(env.stores)
    assert not env.objects()
    assert deletions.list_records(env.stores.table) == []


def scope_of(collection: Collection) -> Scope:
    return Scope(TENANT, DATABASE, collection.id)


def test_a_dropped_fork_holds_nothing_once_it_cannot_be_restored(env: CollectionFixture) -> None:
    env.write(env.scope, *(f"r{number}" for number in range(20)))
    env.index(env.scope)
    env.fork("fork")
    Engine(env.stores).delete_collection(TENANT, DATABASE, "fork")
    before = env.objects()
    env.write(env.scope, *(f"r{number}" for number in range(20)))
    env.index(env.scope)
    env.clock.skipped += WITH_RETENTION.retention_seconds + 3 * WITH_RETENTION.gc_grace_seconds
    assert WITH_RETENTION.log_seal_ttl_seconds > WITH_RETENTION.retention_seconds + 100
    cleaning.purge_dropped(env.stores)
    gc.collect_garbage(env.stores, env.scope.collection)
    assert not before & env.objects()
    assert len(env.ids(env.scope)) == 20


def test_shared_objects_are_deleted_with_their_last_user(env: CollectionFixture) -> None:
    env.write(env.scope, *(f"r{number}" for number in range(20)))
    env.index(env.scope)
    state = collections.by_id(env.stores.table, env.scope.collection)
    assert state is not None
    assert state.manifest_key is not None
    shared = objects_of_manifest(env.stores.objects, state.manifest_key)
    fork = env.fork("fork")
    Engine(env.stores).delete_collection(TENANT, DATABASE, "tested")
    env.clock.skipped += 3_000.0
    cleaning.purge_dropped(env.stores)
    assert shared == env.objects()
    assert len(env.ids(fork)) == 20
    # The fork writes everything anew, so that it needs nothing any more of what it took over.
    env.write(fork, *(f"r{number}" for number in range(20)))
    env.index(fork)
    env.clock.skipped += 3_000.0
    gc.collect_garbage(env.stores, fork.collection)
    cleaning.purge_dropped(env.stores)
    # Only its name for what it took over stays, as long as it is there itself.
    assert shared & env.objects() == {state.manifest_key}
    assert len(env.ids(fork)) == 20
    Engine(env.stores).delete_collection(TENANT, DATABASE, "fork")
    env.clock.skipped += 3_000.0
    cleaning.purge_dropped(env.stores)
    cleaning.purge_dropped(env.stores)
    assert not env.objects()
