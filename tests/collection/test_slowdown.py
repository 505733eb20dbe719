"""Answers to writes wait while many rows wait for an index: never up to the limit, longer the more wait, bounded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.collection import Engine
from afterglow.collection.read.search_request import Search
from afterglow.collection.replica.indexing_progress import unflushed, waiting_ops
from afterglow.collection.replica.replica import Replica
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import ReadLevel, Selection
from afterglow.collection.write.slowdown import slowdown_seconds
from afterglow.jobs.flush import flush
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from tests.support.stores import SMALL, WITH_RETENTION, ManualClock, new_collection, quick_folder, stores_at

COUNTS = st.integers(0, 10**7)


@dataclass
class FakeIndexer:
    """An indexer with a backlog."""

    waiting: int
    closed: bool = False
    total_ops: int = -1

    def problem(self, collection_id: UUID) -> str | None:
        return None

    def waiting_ops(self, collection_id: UUID, total_ops: int) -> int:
        self.total_ops = total_ops
        return self.waiting

    def check(self) -> None:
        raise AssertionError("nobody asked whether it is ready")

    def close(self) -> None:
        self.closed = True


@given(COUNTS, COUNTS, st.integers(1, 10**6))
def test_the_wait_is_bounded_and_grows_with_the_backlog_and_the_write(waiting: int, ops: int, limit: int) -> None:
    seconds = slowdown_seconds(waiting, ops, limit)
    assert 0 <= seconds <= 2
    assert (seconds > 0) == (waiting > limit and ops > 0)
    assert slowdown_seconds(waiting + 1, ops, limit) >= seconds
    assert slowdown_seconds(waiting, ops + 1, limit) >= seconds


@given(waiting=COUNTS, ops=COUNTS, is_searched=st.booleans())
def test_a_limit_of_0_is_none(waiting: int, ops: int, *, is_searched: bool) -> None:
    assert slowdown_seconds(waiting, ops, 0, is_searched=is_searched) == 0


@given(COUNTS, COUNTS, st.integers(1, 10**6))
def test_a_search_never_makes_the_wait_shorter(waiting: int, ops: int, limit: int) -> None:
    assert slowdown_seconds(waiting, ops, limit, is_searched=True) >= slowdown_seconds(waiting, ops, limit)


@pytest.mark.parametrize(("waiting", "seconds"), [(0, 0), (1_000, 0), (1_500, 0.05), (2_000, 0.1), (90_000, 2)])
def test_an_engine_waits_for_its_own_indexer(waiting: int, seconds: float) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, replace(SMALL, slow_writes_ops=1_000))
        scope = new_collection(stores)[0]
        indexer = FakeIndexer(waiting)
        engine = Engine(stores, indexer=indexer)
        assert engine.slowdown_seconds(scope, 100) == pytest.approx(seconds)
        assert Engine(stores).slowdown_seconds(scope, 100) == 0
        engine.close()
        assert indexer.closed


def test_a_lower_limit_counts_while_the_collection_is_searched() -> None:
    """A search within ten seconds, of the collection as it is now; no other read."""
    vector = np.ones((1, 3), np.float32)
    with quick_folder() as folder:
        stores = stores_at(folder, replace(WITH_RETENTION, slow_writes_ops=1_000))
        clock = ManualClock()
        scope = new_collection(stores)[0]
        stores = replace(stores, system=replace(stores.system, monotonic=clock.now))
        engine = Engine(stores, indexer=FakeIndexer(400))
        engine.write(scope, Batch(op=Op.ADD, ids=["a"], vectors=vector))
        searches: dict[str, Callable[[], object]] = {
            "find": lambda: engine.find(scope, vector, 1, Selection(), frozenset()),
            "search": lambda: engine.find_ranked(scope, [Search()], ReadLevel.INDEX_AND_WAL),
        }
        for name, search in searches.items():
            clock.seconds += 11
            engine.count(scope)
            engine.get(scope, Selection(["a"]), 1, 0, frozenset())
            engine.find(scope, vector, 1, Selection(), frozenset(), at=PointInTime(position=1))
            assert engine.slowdown_seconds(scope, 100) == 0, name
            search()
            assert engine.slowdown_seconds(scope, 100) == pytest.approx(0.1), name
            clock.seconds += 9
            assert engine.slowdown_seconds(scope, 100) == pytest.approx(0.1), name
        engine.close()


def test_the_indexer_is_asked_about_all_that_was_written() -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, SMALL)
        scope = new_collection(stores)[0]
        indexer = FakeIndexer(0)
        engine = Engine(stores, indexer=indexer)
        for count in (3, 4):
            ids = [f"{count} {number}" for number in range(count)]
            engine.write(scope, Batch(op=Op.ADD, ids=ids, vectors=np.ones((count, 3), np.float32)))
        engine.slowdown_seconds(scope, 4)
        assert indexer.total_ops == 7
        engine.close()


def test_operations_wait_until_they_are_in_an_index_or_too_few_for_one() -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, replace(SMALL, hnsw_min_rows=50))
        scope = new_collection(stores)[0]
        engine = Engine(stores)

        def waiting() -> int:
            log_tail = unflushed(stores, scope.collection)
            assert log_tail is not None
            return waiting_ops(stores, log_tail)

        def add(first: int, count: int) -> None:
            names = [f"{number}" for number in range(first, first + count)]
            engine.write(scope, Batch(Op.ADD, names, np.ones((count, 4), dtype=np.float32)))

        def flush_all() -> None:
            flush(stores, Replica.for_indexer(stores, scope.collection).snapshot())

        assert waiting() == 0
        add(0, 30)
        assert waiting() == 30
        flush_all()
        assert waiting() == 0
        add(30, 40)
        assert waiting() == 40
        flush_all()
        assert waiting() == 70
        index(stores, Replica.for_indexer(stores, scope.collection), scope.collection, idle=True)
        assert waiting() == 0
        stores.table.close()
