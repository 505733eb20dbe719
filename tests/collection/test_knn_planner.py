"""The planner: a graph, and lists, of some thousand rows, asked under filters of every width."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from afterglow.collection import Engine
from afterglow.collection.read.explanation import Explanation, GroupStep, Method
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
    assert same >= 0.96 * found - 1, "0.98 is promised on average, and these are few queries"


def explained_groups(crowd: Crowd, where: Any, k: int, vectors: int = 1) -> tuple[Explanation, list[GroupStep]]:
    engine, scope, all_vectors = crowd
    explanation = Explanation()
    selection = Selection(where=parse_where(where))
    engine.find(scope, all_vectors[:vectors], k, selection, NOTHING, explanation=explanation)
    (search,) = explanation.searches
    (neighbors,) = search.neighbors
    assert (neighbors.k, neighbors.vectors) == (k, vectors)
    return explanation, neighbors.groups


@pytest.mark.parametrize("vectors", [1, 3])
def test_an_index_is_explained(crowd: Crowd, vectors: int) -> None:
    explanation, (segment, memtable) = explained_groups(crowd, {"percent": {"$lt": 50}}, 10, vectors)
    assert explanation.may_lose_recall
    assert segment.method is segment.index
    assert segment.method in (Method.GRAPH, Method.LISTS)
    assert (segment.rows, segment.recall) == (ROWS, 0.99)
    assert segment.matching == explanation.searches[0].matching - memtable.matching
    assert segment.breadth is not None
    assert segment.breadth >= 1
    assert vectors * 10 <= segment.compared < vectors * ROWS
    assert (memtable.method, memtable.compared) == (Method.SCAN, 2 * vectors)


def test_a_scan_behind_a_filter_is_explained(crowd: Crowd) -> None:
    explanation, (segment, memtable) = explained_groups(crowd, {"n": {"$lt": 5}}, 10)
    assert (segment.matching, memtable.matching) == (3, 2)
    assert segment.method is (Method.SCAN if segment.index is Method.GRAPH else Method.LISTS)
    assert explanation.may_lose_recall == (segment.method is Method.LISTS)


def test_nothing_to_search_is_explained(crowd: Crowd) -> None:
    explanation, groups = explained_groups(crowd, {"n": -1}, 10)
    assert [(step.method, step.compared) for step in groups] == [(Method.NONE, 0)] * 2
    assert not explanation.may_lose_recall
