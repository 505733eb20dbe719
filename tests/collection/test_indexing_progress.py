"""How much of the log is indexed: every operation that was logged counts, also while folds go on, and in forks."""

from pathlib import Path

import numpy as np
import pytest

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.collection import Engine
from afterglow.collection.replica import indexing_progress
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import IndexingStatus, ReadLevel, Scope, Selection
from afterglow.errors import Corrupt, NotFound
from afterglow.jobs.flush import flush
from afterglow.jobs.indexer import index
from afterglow.log import trim
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.support.stores import SMALL, ManualClock, new_collection, stores_at


class World:
    """A collection of which writes and folds are ordered about."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.stores: Stores = stores_at(folder, clock=self.clock)
        self.engine = Engine(self.stores)
        self.scope, self.made = new_collection(self.stores)

    def add(self, first: int, last: int, scope: Scope | None = None) -> None:
        names = [f"{number}" for number in range(first, last)]
        self.engine.write(scope or self.scope, Batch(Op.ADD, names, np.ones((len(names), 3), dtype=np.float32)))

    def index(self) -> None:
        index(self.stores, Replica.for_indexer(self.stores, self.made.id), self.made.id, idle=True)

    def state(self) -> Collection:
        found = collections.by_id(self.stores.table, self.made.id)
        assert found is not None
        return found

    def status(self, scope: Scope | None = None) -> IndexingStatus:
        return self.engine.indexing_status(scope or self.scope)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_every_record_that_a_write_names_is_an_operation(world: World) -> None:
    assert world.status() == IndexingStatus(0, 0)
    world.add(0, 3)
    world.add(0, 3)  # changes nothing
    world.engine.delete(world.scope, Selection(["0", "missing"]))
    assert world.status() == IndexingStatus(8, 0)
    world.index()
    assert world.status() == IndexingStatus(8, 8)
    world.add(3, 4)
    assert world.status() == IndexingStatus(9, 8)


def test_what_is_worth_a_graph_and_has_none_is_not_indexed_yet(world: World) -> None:
    world.add(0, SMALL.hnsw_min_rows)
    flush(world.stores, Replica.for_indexer(world.stores, world.made.id).snapshot())
    assert world.status() == IndexingStatus(SMALL.hnsw_min_rows, 0)
    world.index()
    assert world.status() == IndexingStatus(SMALL.hnsw_min_rows, SMALL.hnsw_min_rows)


@pytest.mark.parametrize("waits", [False, True])
def test_a_fold_meanwhile_loses_nothing(world: World, *, waits: bool) -> None:
    world.add(0, 3)
    world.index()
    world.add(3, 5)
    before = world.state()
    world.index()
    world.add(5, 6)
    if waits:
        world.clock.seconds += SMALL.log_placeholder_ttl_seconds + 1
        trim.delete_expired_placeholders(world.stores, world.made.id)
    assert indexing_progress.indexing_status(world.stores, before) == IndexingStatus(6, 5)
    waiting = indexing_progress.unflushed(world.stores, world.made.id)
    assert waiting is not None
    assert (waiting.ops, waiting.last_seq) == (1, 3)


def test_one_that_was_dropped_meanwhile_is_not_there(world: World) -> None:
    world.add(0, 3)
    before = world.state()
    world.engine.delete_collection(before.tenant, before.database, before.name)
    assert indexing_progress.unflushed(world.stores, world.made.id) is None
    with pytest.raises(NotFound):
        indexing_progress.indexing_status(world.stores, before)


def test_a_lost_checkpoint_is_named(world: World) -> None:
    world.add(0, 3)
    world.index()
    key = world.state().manifest_key
    assert key is not None
    world.stores.objects.delete(key)
    with pytest.raises(Corrupt, match="cannot be read"):
        world.status()


def test_a_fork_goes_on_with_the_count_of_its_source(world: World) -> None:
    world.add(0, 3)
    world.index()
    world.add(3, 5)
    made = world.engine.fork(world.scope, "forked")
    fork = Scope(made.tenant, made.database, made.id)
    assert world.status(fork) == world.status() == IndexingStatus(5, 3)
    world.add(9, 10, fork)
    assert (world.status(fork), world.status()) == (IndexingStatus(6, 3), IndexingStatus(5, 3))
    index(world.stores, Replica.for_indexer(world.stores, made.id), made.id, idle=True)
    assert (world.status(fork), world.status()) == (IndexingStatus(6, 6), IndexingStatus(5, 3))


def test_what_is_counted_at_each_read_level(world: World) -> None:
    def counts() -> list[int]:
        return [world.engine.count(world.scope, each).count for each in ReadLevel]

    assert list(ReadLevel) == [ReadLevel.INDEX_AND_WAL, ReadLevel.INDEX_ONLY, ReadLevel.INDEX_AND_BOUNDED_WAL]
    world.add(0, 3)
    assert counts() == [3, 0, 3]
    world.index()
    world.add(3, 5)
    world.engine.delete(world.scope, Selection(["0"]))
    assert counts() == [4, 3, 4]
    world.index()
    assert counts() == [4, 4, 4]
