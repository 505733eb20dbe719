"""The planner: a graph, and lists, of some thousand rows, asked under filters of every width."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings
from tests.support.distances import reference_distances
from tests.support.stores import new_collection, quick_folder, stores_at

ROWS, DIMENSION = 3_000, 16
NOTHING = frozenset[Include]()

Crowd = tuple[Engine, Scope, NDArray[np.float32]]


@pytest.fixture(scope="module", params=["graph", "lists"])
def crowd(request: pytest.FixtureRequest) -> Iterator[Crowd]:
    settings = Settings(
        hnsw_min_rows=1_000,
        exact_search_max_rows=10,
        compaction_threads=1,
        index=request.param,
        recall_target=0.99,
    )
    source = np.random.default_rng(7)
    centres = source.normal(size=(30, DIMENSION))
    vectors = (centres[np.arange(ROWS) % 30] + source.normal(size=(ROWS, DIMENSION)) / 4).astype(np.float32)
    with quick_folder() as folder:
        stores = stores_at(folder, settings)
        scope, collection = new_collection(stores)
        engine = Engine(stores)
        metadatas = [{"n": number, "cluster": number % 30, "percent": number % 100} for number in range(ROWS)]
        engine.write(scope, Batch(Op.ADD, list(map(str, range(ROWS))), vectors, metadatas=metadatas))
        index(stores, Replica.for_indexer(stores, collection.id), collection.id, idle=True)
        engine.write(scope, Batch(Op.UPDATE, ["1", "2"], vectors[[2, 1]]))
        vectors[[1, 2]] = vectors[[2, 1]]
        yield engine, scope, vectors
        stores.table.close()


@pytest.mark.parametrize("k", [1, 10, 100, 700, 5_000])
@pytest.mark.parametrize(
    "where",
    [
        None,
        {"n": {"$lt": 5}},
        {"n": {"$gte": 30}},
        {"cluster": 7},
        {"cluster": {"$ne": 7}},
        {"percent": {"$lt": 50}},
        {"percent": {"$gte": 95}},
        {"n": -1},
    ],
    ids=repr,
)
def test_never_fewer_than_k_and_near_enough(crowd: Crowd, where: Any, k: int) -> None:
    engine, scope, vectors = crowd
    allowed = np.array(engine.get(scope, Selection(where=parse_where(where)), None, 0, NOTHING).ids, dtype=np.int64)
    found = same = 0
    for asked in vectors[:90:6] + np.float32(0.01):
        (hits,) = engine.query(
            scope, asked[None], k, Selection(where=parse_where(where)), frozenset({Include.DISTANCES})
        )
        exact = reference_distances("l2", asked, vectors[allowed])
        rows = np.array(hits.records.ids, dtype=np.int64)
        assert len(set(rows.tolist())) == len(rows) == min(k, len(allowed))
        assert set(rows.tolist()) <= set(allowed.tolist())
        own = reference_distances("l2", asked, vectors[rows])
        np.testing.assert_allclose(hits.distances, own, rtol=1e-5)
        assert (np.diff(hits.distances) >= 0).all()
        best = np.sort(exact)[: len(rows)]
        found += len(rows)
        same += int((own <= best[-1] * (1 + 1e-6)).sum()) if len(rows) else 0
    assert same >= 0.99 * found
