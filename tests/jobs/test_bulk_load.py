"""Bulk loads are flushed before they are compacted, into segments that memory limits."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.replica.checkpoint import MAX_CONCURRENT_FLUSHES
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope, Selection
from afterglow.jobs.indexer import IndexReport, index
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.support.stores import new_collection, quick_folder, stores_at

ROWS_PER_ENTRY = 5
ENTRIES = 60
NAMES = [f"{number}" for number in range(ROWS_PER_ENTRY * ENTRIES)]


@pytest.fixture
def stores() -> Iterator[Stores]:
    with quick_folder() as folder:
        opened = stores_at(folder)
        yield opened
        opened.table.close()


def loaded(stores: Stores) -> Scope:
    scope, _ = new_collection(stores)
    vectors = np.random.default_rng(5).normal(size=(len(NAMES), 3)).astype(np.float32)
    engine = Engine(stores)
    for start in range(0, len(NAMES), ROWS_PER_ENTRY):
        engine.write(
            scope, Batch(Op.ADD, NAMES[start : start + ROWS_PER_ENTRY], vectors[start : start + ROWS_PER_ENTRY])
        )
    return scope


def indexed(stores: Stores, scope: Scope) -> IndexReport:
    return index(stores, Replica.for_indexer(stores, scope.collection), scope.collection, idle=True)


def test_the_backlog_is_flushed_before_anything_is_compacted(stores: Stores) -> None:
    scope = loaded(stores)
    report = indexed(stores, scope)
    at_once = MAX_CONCURRENT_FLUSHES * stores.settings.flush_ops
    assert report.flushed_ops == len(NAMES)
    assert report.compactions <= 2
    view = Replica(stores, scope.collection).snapshot()
    assert [segment.rows for segment in view.manifest.segments] == [len(NAMES)]
    assert view.manifest.number <= len(NAMES) // at_once + 1 + report.compactions
    assert Engine(stores).get(scope, Selection(), None, 0, frozenset()).ids == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("build_bytes", [0, 412 * 100])
def test_memory_bounds_what_becomes_one_segment(stores: Stores, build_bytes: int) -> None:
    bounded = replace(stores, settings=replace(stores.settings, compaction_memory_bytes=build_bytes))
    scope = loaded(bounded)
    indexed(bounded, scope)
    most = max(build_bytes // 412, 4 * bounded.settings.hnsw_min_rows)
    rows = [segment.rows for segment in Replica(bounded, scope.collection).snapshot().manifest.segments]
    assert sum(rows) == len(NAMES)
    assert max(rows) <= most
    assert len(rows) <= 3 * len(NAMES) // most
    assert Engine(bounded).get(scope, Selection(), None, 0, frozenset()).ids == NAMES
