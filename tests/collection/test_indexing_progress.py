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


class CollectionFixture:
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
def env(tmp_path: Path) -> CollectionFixture:
    return CollectionFixture(tmp_path)


def test_every_record_that_a_write_names_is_an_operation(env: CollectionFixture) -> None:
    assert env.status() == IndexingStatus(0, 0, 0)
    env.add(0, 3)
    env.add(0, 3)  # changes nothing
    env.engine.delete(env.scope, Selection(["0", "missing"]))
    assert env.status() == IndexingStatus(8, 0, 0)
    env.index()
    assert env.status() == IndexingStatus(8, 8, 8)
    env.add(3, 4)
    assert env.status() == IndexingStatus(9, 8, 8)


def test_rows_that_wait_for_an_hnsw_index_are_not_indexed_yet(env: CollectionFixture) -> None:
    env.add(0, SMALL.hnsw_min_rows)
    flush(env.stores, Replica.for_indexer(env.stores, env.made.id).snapshot())
    assert env.status() == IndexingStatus(SMALL.hnsw_min_rows, 0, SMALL.hnsw_min_rows)
    env.index()
    assert env.status() == IndexingStatus(SMALL.hnsw_min_rows, SMALL.hnsw_min_rows, SMALL.hnsw_min_rows)


def test_the_progress_moves_with_every_step_and_is_complete_only_at_the_end(env: CollectionFixture) -> None:
    assert env.status().progress == 1.0
    seen = []
    for first in range(0, 3 * SMALL.hnsw_min_rows, SMALL.hnsw_min_rows):
        env.add(first, first + SMALL.hnsw_min_rows)
    seen.append(env.status().progress)
    indexer = Replica.for_indexer(env.stores, env.made.id)
    flush(env.stores, indexer.snapshot())
    seen.append(env.status().progress)
    env.index()
    seen.append(env.status().progress)
    assert seen[0] == 0.0
    assert seen == sorted(set(seen))
    assert seen[1] <= 0.5
    assert seen[-1] == 1.0


@pytest.mark.parametrize("waits", [False, True])
def test_a_concurrent_flush_loses_no_operation(env: CollectionFixture, *, waits: bool) -> None:
    env.add(0, 3)
    env.index()
    env.add(3, 5)
    before = env.state()
    env.index()
    env.add(5, 6)
    if waits:
        trim.delete_placeholders(env.stores, env.made.id, up_to=2)
    assert indexing_progress.indexing_status(env.stores, before) == IndexingStatus(6, 5, 5)
    waiting = indexing_progress.unflushed(env.stores, env.made.id)
    assert waiting is not None
    assert (waiting.ops, waiting.last_seq) == (1, 3)


def test_one_that_was_dropped_meanwhile_is_not_there(env: CollectionFixture) -> None:
    env.add(0, 3)
    before = env.state()
    env.engine.delete_collection(before.tenant, before.database, before.name)
    assert indexing_progress.unflushed(env.stores, env.made.id) is None
    with pytest.raises(NotFound):
        indexing_progress.indexing_status(env.stores, before)


def test_a_lost_checkpoint_is_named(env: CollectionFixture) -> None:
    env.add(0, 3)
    env.index()
    key = env.state().manifest_key
    assert key is not None
    env.stores.objects.delete(key)
    with pytest.raises(Corrupt, match="cannot be read"):
        env.status()


def test_a_fork_goes_on_with_the_count_of_its_source(env: CollectionFixture) -> None:
    env.add(0, 3)
    env.index()
    env.add(3, 5)
    made = env.engine.fork(env.scope, "forked")
    fork = Scope(made.tenant, made.database, made.id)
    assert env.status(fork) == env.status() == IndexingStatus(5, 3, 3)
    env.add(9, 10, fork)
    assert (env.status(fork), env.status()) == (IndexingStatus(6, 3, 3), IndexingStatus(5, 3, 3))
    index(env.stores, Replica.for_indexer(env.stores, made.id), made.id, idle=True)
    assert (env.status(fork), env.status()) == (IndexingStatus(6, 6, 6), IndexingStatus(5, 3, 3))


def test_counts_by_read_level(env: CollectionFixture) -> None:
    def counts() -> list[int]:
        return [env.engine.count(env.scope, level).count for level in ReadLevel]

    assert list(ReadLevel) == [ReadLevel.INDEX_AND_WAL, ReadLevel.INDEX_ONLY, ReadLevel.INDEX_AND_BOUNDED_WAL]
    env.add(0, 3)
    assert counts() == [3, 0, 3]
    env.index()
    env.add(3, 5)
    env.engine.delete(env.scope, Selection(["0"]))
    assert counts() == [4, 3, 4]
    env.index()
    assert counts() == [4, 4, 4]
