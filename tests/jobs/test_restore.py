"""Collections that are rolled back, or brought back after they were dropped."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from afterglow.catalog import Database
from afterglow.catalog.model import Collection
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Scope, Selection
from afterglow.errors import AfterglowError, AlreadyExists, InvalidArgument, NotFound
from afterglow.jobs import gc, purge, restore
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.support.faulty import Crash, Fault, Faults, nth
from tests.support.stores import SMALL, WITH_RETENTION, Clock, new_collection, quick_folder, stores_at, with_faults

TENANT, DATABASE = "default_tenant", "default_database"


@dataclass
class Environment:
    stores: Stores
    clock: Clock
    scope: Scope

    @property
    def engine(self) -> Engine:
        return Engine(self.stores)

    @property
    def place(self) -> Database:
        return self.engine.catalog.get_database(TENANT, DATABASE)

    def write(self, *names: str) -> int:
        batch = Batch(Op.UPSERT, list(names), np.zeros((len(names), 2), np.float32))
        position = self.engine.write(self.scope, batch)
        assert position is not None
        return position

    def settle(self, identity: Scope | None = None) -> None:
        collection = (identity or self.scope).collection
        index(self.stores, Replica.for_indexer(self.stores, collection), collection, idle=True)

    def ids(self, collection: Collection) -> list[str]:
        scope = Scope(TENANT, DATABASE, collection.id)
        return self.engine.get(scope, Selection(), None, 0, frozenset()).ids

    def named(self, name: str) -> list[str]:
        return self.ids(self.engine.get_collection(TENANT, DATABASE, name))

    def back(
        self, reference: str, at: PointInTime | None = None, name: str | None = None, *, replace: bool = False
    ) -> Collection:
        source = restore.find(self.stores, self.place, reference)
        return restore.restore(self.stores, source, at, name, replace=replace)


@pytest.fixture
def env() -> Iterator[Environment]:
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, WITH_RETENTION, clock)
        scope, _ = new_collection(stores, "docs")
        yield Environment(stores, clock, scope)
        stores.table.close()


def test_a_past_state_under_another_name(env: Environment) -> None:
    position = env.write("a", "b")
    env.settle()
    env.engine.delete(env.scope, Selection(["a"]))
    made = env.back("docs", PointInTime(position=position))
    assert made.name.startswith("docs-restored-2")
    assert env.ids(made) == ["a", "b"]
    assert env.named("docs") == ["b"]
    with pytest.raises(AlreadyExists):
        env.back("docs", PointInTime(position=position), "docs")
    assert env.back(str(env.scope.collection), PointInTime(position=position), "other").name == "other"


def test_a_collection_in_the_place_of_the_one_that_is(env: Environment) -> None:
    position = env.write("a")
    env.write("oops")
    made = env.back("docs", PointInTime(position=position), replace=True)
    assert (made.name, env.named("docs")) == ("docs", ["a"])
    with pytest.raises(NotFound):
        env.write("more")
    assert [collection.name for collection in env.engine.list_collections(TENANT, DATABASE)] == ["docs"]
    # What was replaced is restored by its id, as the name is that of its fork.
    (lost,) = restore.restorable(env.stores, env.place)
    assert env.ids(env.back(str(lost.collection.id), name="docs-2")) == ["a", "oops"]


def test_a_dropped_collection_under_its_own_name(env: Environment) -> None:
    env.write("a")
    env.settle()
    env.write("b")
    env.engine.delete_collection(TENANT, DATABASE, "docs")
    env.clock.skipped += 100.0
    purge.purge_dropped(env.stores)
    env.back("docs")
    assert env.named("docs") == ["a", "b"]
    found = env.engine.get_collection(TENANT, DATABASE, "docs")
    env.settle(Scope(TENANT, DATABASE, found.id))
    env.clock.skipped += 2_000.0
    purge.purge_dropped(env.stores)
    gc.collect_garbage(env.stores, found.id)
    assert env.named("docs") == ["a", "b"]


def test_the_newest_of_several_that_were_dropped(env: Environment) -> None:
    env.write("old")
    env.engine.delete_collection(TENANT, DATABASE, "docs")
    env.clock.skipped += 1.0
    env.scope, _ = new_collection(env.stores, "docs")
    env.write("new")
    env.engine.delete_collection(TENANT, DATABASE, "docs")
    assert env.ids(env.back("docs")) == ["new"]


def test_what_cannot_be_restored(env: Environment) -> None:
    env.write("a")
    with pytest.raises(InvalidArgument, match="give a point in time"):
        env.back("docs")
    with pytest.raises(NotFound, match="nor a dropped one"):
        env.back("nothing")
    env.engine.delete_collection(TENANT, DATABASE, "docs")
    env.clock.skipped += WITH_RETENTION.retention_seconds + 1
    with pytest.raises(NotFound):
        env.back("docs")
    assert not list(restore.restorable(env.stores, env.place))


def test_what_a_reset_took_is_gone(env: Environment) -> None:
    env.write("a")
    env.engine.reset()
    with pytest.raises(NotFound):
        env.back("docs")
    env.clock.skipped += WITH_RETENTION.gc_grace_seconds + 1
    purge.purge_dropped(env.stores)
    assert not list(env.stores.objects.list(""))


def test_without_time_travel(env: Environment) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, SMALL)
        scope, made = new_collection(stores, "docs")
        Engine(stores).write(scope, Batch(Op.ADD, ["a"], np.zeros((1, 2), np.float32)))
        with pytest.raises(InvalidArgument, match="AFTERGLOW_RETENTION_SECONDS is 0"):
            restore.restore(stores, made, PointInTime(position=1))
        stores.table.close()


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST, Fault.REPEATED])
def test_a_replacement_happens_wholly_or_not_at_all(env: Environment, fault: Fault) -> None:
    position = env.write("a")
    env.write("b")
    for number in range(60):
        faults = Faults(nth(number, fault))
        stores = with_faults(env.stores, faults)
        source = restore.find(env.stores, env.place, "docs")
        try:
            restore.restore(stores, source, PointInTime(position=position), f"try-{number}", replace=True)
        except (Crash, AfterglowError):
            pass
        names = [collection.name for collection in env.engine.list_collections(TENANT, DATABASE)]
        assert names.count("docs") == 1
        if env.named("docs") == ["a"]:
            break
        assert env.named("docs") == ["a", "b"]
    assert number or fault is Fault.REPEATED
    env.clock.skipped += 3_000.0
    purge.purge_dropped(env.stores)
    purge.purge_dropped(env.stores)
    assert env.named("docs") == ["a"]
