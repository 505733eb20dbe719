"""Sampled recall: counted against exact search, with filters, and bounded in work."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.read import knn_planner
from afterglow.collection.read.knn_planner import KnnQuery, Neighbors
from afterglow.collection.read.recall_sampling import RecallSampler
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Selection
from afterglow.errors import Unavailable
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.segment.distance import Space
from afterglow.settings.system import System
from tests.support.stores import SMALL, new_collection, quick_folder, stores_at


@dataclass
class Ticks:
    """A clock on which each look at it takes a second."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def wait(sampler: RecallSampler) -> None:
    """Until the sample that was started is counted."""
    assert sampler._executor is not None
    sampler._executor.submit(lambda: None).result(60)


@pytest.mark.parametrize("kind", ["graph", "lists"])
def test_what_a_query_has_missed_is_counted(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, replace(SMALL, hnsw_min_rows=64, lists_min_rows=64, index=kind))
        scope, collection = new_collection(stores)
        engine = Engine(stores)
        vectors = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
        engine.write(scope, Batch(Op.ADD, [str(number) for number in range(300)], vectors=vectors))
        index(stores, Replica.for_indexer(stores, collection.id), collection.id, idle=True)
        snapshot = Replica(stores, collection.id).snapshot()
        (group,) = [group for group in snapshot.row_groups if group.rows.rows]
        assert (group.graph is not None) == (kind == "graph")
        masks = [None if group.rows.rows == 0 else np.arange(group.rows.rows) % 2 == 0 for group in snapshot.row_groups]
        query = KnnQuery(Space.L2, vectors[0], 10, 0)
        exact = knn_planner.knn_exact(snapshot, masks, query)
        clock = Ticks()
        sampler = RecallSampler(1.0, System(monotonic=clock, random=random.Random(1)))
        sampler.offer(snapshot, masks, query, exact)
        wait(sampler)
        assert sampler.take() == (10, 10)
        assert sampler.take() == (0, 0)
        seven = Neighbors(exact.groups[:7], exact.rows[:7], exact.distances[:7])
        sampler.offer(snapshot, masks, query, seven)
        wait(sampler)
        assert sampler.take() == (0, 0), "it rests"
        clock.now += 60
        sampler.offer(snapshot, masks, query, seven)
        wait(sampler)
        assert sampler.take() == (7, 10)

        def fail(*arguments: object) -> Neighbors:
            raise Unavailable("gone")

        clock.now += 60
        monkeypatch.setattr(knn_planner, "knn_exact", fail)
        sampler.offer(snapshot, masks, query, exact)
        sampler.close()
        assert sampler.take() == (0, 0)
        stores.table.close()


def test_queries_of_an_engine_are_sampled() -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, replace(SMALL, hnsw_min_rows=64, index="graph", recall_sample=1.0))
        scope, collection = new_collection(stores)
        engine = Engine(stores, ThreadPoolExecutor(1))
        vectors = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
        engine.write(scope, Batch(Op.ADD, [str(number) for number in range(300)], vectors=vectors))
        index(stores, Replica.for_indexer(stores, collection.id), collection.id, idle=True)
        engine.query(scope, vectors[:1], 5, Selection(), frozenset())
        engine.close()
        found, expected = engine.take_recall()
        assert 0 < found <= expected == 5
