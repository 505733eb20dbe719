"""A collection that is read often applies this process's writes in the background, before the next read."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope, Selection
from afterglow.errors import Unavailable
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.log.read import read_after
from afterglow.storage.ports import Stores
from tests.collection.test_machine import Later
from tests.support.faulty import Fault, Faults
from tests.support.stores import Clock, new_collection, quick_folder, stores_at, with_faults

MANY = 512


class CountingLater(Later):
    """Counts what was submitted."""

    submitted = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        return super().submit(fn, *args, **kwargs)


@dataclass
class Env:
    """A collection with one record, which `engine` has read."""

    stores: Stores
    clock: Clock
    scope: Scope
    later: CountingLater
    engine: Engine

    def write(self, name: str, count: int = 1) -> None:
        names = [name, *(f"{name}-{number}" for number in range(1, count))]
        self.engine.write(self.scope, Batch(Op.ADD, names, np.ones((count, 3), dtype=np.float32)))

    def ids(self) -> list[str]:
        return self.engine.get(self.scope, Selection(), None, 0, frozenset()).ids

    def rows(self) -> int:
        rows = self.engine._reader.warm_rows(self.scope.collection)
        assert rows is not None
        return rows.rows


@pytest.fixture
def env() -> Iterator[Env]:
    with quick_folder() as folder:
        clock, later = Clock(), CountingLater()
        stores = stores_at(folder, clock=clock)
        env = Env(stores, clock, new_collection(stores)[0], later, Engine(stores, later))
        env.write("a")
        assert env.ids() == ["a"]
        yield env
        stores.table.close()


def test_a_large_write_is_applied_before_the_next_read(env: Env) -> None:
    env.write("b", MANY)
    assert env.rows() == 1
    env.later.run()
    assert env.rows() == 1 + MANY
    assert env.ids()[:2] == ["a", "b"]


def test_the_codes_of_followed_rows_are_made_and_count_as_memory(env: Env) -> None:
    replica = env.engine._reader._cache.open(env.scope.collection).replica
    before = replica.memtable_bytes()
    env.write("b", 2_048)
    env.later.run()
    batch_bytes = sum(entry.byte_size for entry in read_after(env.stores.table, env.scope.collection, 1).entries)
    assert replica.memtable_bytes() == before + batch_bytes + 2_049 * (3 + 4 * 4)
    assert len(env.ids()) == 2_049


def test_a_few_operations_are_left_to_the_next_read(env: Env) -> None:
    for number in range(MANY - 1):
        env.write(f"{number}")
    assert env.later.submitted == 0
    env.write("b")
    assert env.later.submitted == 1
    env.later.run()
    assert env.rows() == 1 + MANY


def test_a_write_that_nobody_has_read_before_is_not_followed() -> None:
    with quick_folder() as folder:
        stores = stores_at(folder)
        later = CountingLater()
        engine, scope = Engine(stores, later), new_collection(stores)[0]
        names = [f"{number}" for number in range(MANY)]
        engine.write(scope, Batch(Op.ADD, names, np.ones((MANY, 3), dtype=np.float32)))
        assert later.submitted == 0
        stores.table.close()


def test_writes_long_after_the_last_read_are_not_followed(env: Env) -> None:
    env.clock.skipped += 11
    env.write("b", MANY)
    assert env.later.submitted == 0
    assert len(env.ids()) == 1 + MANY


def test_many_writes_are_applied_by_one_run(env: Env) -> None:
    for number in range(20):
        env.write(f"{number}", MANY)
    assert env.later.submitted == 1
    env.later.run()
    assert env.rows() == 1 + 20 * MANY
    env.write("b", MANY)
    assert env.later.submitted == 2


def test_a_fault_of_the_table_ends_the_run_alone(env: Env) -> None:
    faults = Faults()
    stores = with_faults(env.stores, faults)
    later = CountingLater()
    replica = Replica(stores, env.scope.collection, later)
    assert replica.snapshot().records == 1
    env.write("b")
    faults.choose = lambda number, name: Fault.REFUSED
    replica.follow(10**6)
    later.run()
    with pytest.raises(Unavailable):
        replica.snapshot()
    faults.choose = lambda number, name: None
    assert replica.snapshot().records == 2


def test_a_newer_checkpoint_and_a_drop_are_met_while_following(env: Env) -> None:
    env.write("b", MANY)
    index(env.stores, Replica.for_indexer(env.stores, env.scope.collection), env.scope.collection, idle=True)
    env.later.run()
    env.later.run()
    env.write("c", MANY)
    env.later.run()
    assert len(env.ids()) == 1 + 2 * MANY


def test_a_closed_engine_follows_nothing() -> None:
    with quick_folder() as folder:
        stores = stores_at(folder)
        engine, scope = Engine(stores, ThreadPoolExecutor(1)), new_collection(stores)[0]
        engine.write(scope, Batch(Op.ADD, ["a"], np.ones((1, 3), dtype=np.float32)))
        assert engine.count(scope).count == 1
        replica = engine._reader._cache.open(scope.collection).replica
        engine.close()
        replica.follow(10**6)
