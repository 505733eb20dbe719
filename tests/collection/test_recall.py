"""Recall through the engine, with the tuning of a new collection, of vectors that differ in their last digits only."""

import numpy as np
import pytest
from numpy.typing import NDArray

from afterglow.collection import Engine
from afterglow.collection.read.explanation import Explanation
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, QueryResult, Selection
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.segment import distance
from afterglow.segment.distance import Space
from afterglow.segment.precision import VectorType
from afterglow.settings import Settings
from tests.support.stores import new_collection, quick_folder, stores_at

pytestmark = pytest.mark.slow

ROWS = 3_000
SETTINGS = Settings(hnsw_min_rows=1_000, compaction_threads=1)
SOURCE = np.random.default_rng(17)
DAY = 86_400
Matrix = NDArray[np.float64]


def normal(dimension: int) -> Matrix:
    return SOURCE.normal(size=(ROWS, dimension))


TIMES = 1.7e9 + SOURCE.uniform(-7, 7, size=(ROWS, 1)) * DAY
PLACES = np.array([48.8566, 2.3522]) + normal(2) * 0.03
SETS: dict[str, tuple[Space, Matrix, VectorType]] = {
    "places in one city": (Space.L2, PLACES, VectorType.F32),
    "times": (Space.L2, TIMES, VectorType.F32),
    "places and times": (Space.L2, np.hstack([PLACES, TIMES]), VectorType.F32),
    "offset 10": (Space.L2, 10 + normal(32) / 20, VectorType.F32),
    "offset 10, 384 dimensions": (Space.L2, 10 + normal(384) / 20, VectorType.F32),
    "offset 10, cosine": (Space.COSINE, 10 + normal(32) / 20, VectorType.F32),
    "offset 10, ip": (Space.IP, 10 + normal(32) / 20, VectorType.F32),
    "signs, cosine": (Space.COSINE, normal(1), VectorType.F32),
    "duplicates": (Space.L2, np.repeat(normal(2)[:300], 10, axis=0), VectorType.F32),
    "some of them zero, cosine": (Space.COSINE, normal(32) * (np.arange(ROWS) % 50 > 0)[:, None], VectorType.BF16),
    "ordinary": (Space.COSINE, normal(32), VectorType.BF16),
    "ordinary, 128 dimensions": (Space.L2, normal(128), VectorType.I8),
    "some of them zero, 128 dimensions": (
        Space.COSINE,
        normal(128) * (np.arange(ROWS) % 50 > 0)[:, None],
        VectorType.I8,
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_the_nearest_are_found(name: str) -> None:
    space, given, scalar = SETS[name]
    vectors = given.astype(np.float32)
    with quick_folder() as folder:
        stores = stores_at(folder, SETTINGS)
        scope, collection = new_collection(stores, space=space)
        engine = Engine(stores)
        engine.write(scope, Batch(Op.ADD, list(map(str, range(ROWS))), vectors))
        replica = Replica.for_indexer(stores, collection.id)
        index(stores, replica, collection.id, idle=True)
        (part,) = replica.snapshot().row_groups
        assert part.graph is not None
        assert part.graph.rounding.vector_type is scalar
        asked = vectors[7::60]
        hits = engine.query(scope, asked, 10, Selection(), frozenset({Include.DISTANCES}))
        stores.table.close()
    assert recall(space, vectors, asked, hits) >= 0.95


@pytest.mark.parametrize("factor", [1.5, 10, 1e6])
def test_queries_far_outside_of_the_rows_find_their_nearest(factor: float) -> None:
    vectors = normal(128).astype(np.float32)
    with quick_folder() as folder:
        stores = stores_at(folder, SETTINGS)
        scope, collection = new_collection(stores)
        engine = Engine(stores)
        engine.write(scope, Batch(Op.ADD, list(map(str, range(ROWS))), vectors))
        index(stores, Replica.for_indexer(stores, collection.id), collection.id, idle=True)
        asked = np.concatenate([np.float32(factor) * vectors[7::60], vectors[:3]])
        together = engine.query(scope, asked, 10, Selection(), frozenset({Include.DISTANCES}))
        alone = [engine.query(scope, vector[None], 10, Selection(), frozenset()) for vector in asked]
        stores.table.close()
    assert [hits.records.ids for hits in together] == [hits.records.ids for (hits,) in alone]
    assert recall(Space.L2, vectors, asked, together) >= 0.95


def test_rows_added_to_an_hnsw_index_may_change_its_vector_type() -> None:
    vectors = normal(32).astype(np.float32)
    vectors[1_500:] = 10 + vectors[1_500:] / 20
    names = list(map(str, range(ROWS)))
    scalars = []
    with quick_folder() as folder:
        stores = stores_at(folder, SETTINGS)
        scope, collection = new_collection(stores)
        engine = Engine(stores)
        replica = Replica.for_indexer(stores, collection.id)
        for first, last in ((0, 1_500), (1_500, ROWS)):
            engine.write(scope, Batch(Op.ADD, names[first:last], vectors[first:last]))
            engine.delete(scope, Selection(ids=names[first : first + 100]), None)
            index(stores, replica, collection.id, idle=True)
            (part,) = replica.snapshot().row_groups
            assert part.graph is not None
            scalars.append(part.graph.rounding.vector_type)
        asked = vectors[107::60]
        hits = engine.query(scope, asked, 10, Selection(), frozenset({Include.DISTANCES}))
        stores.table.close()
    assert scalars == [VectorType.BF16, VectorType.F32]
    vectors[:100] = vectors[1_500:1_600] = 1e6
    assert recall(Space.L2, vectors, asked, hits) >= 0.95


@pytest.mark.parametrize("loaded", ["at random", "in the order of one component"])
def test_segments_with_lists_are_probed_for_their_share_of_the_nearest(loaded: str) -> None:
    centers = SOURCE.normal(size=(80, 64))
    vectors = (centers[SOURCE.integers(80, size=6_000)] + SOURCE.normal(size=(6_000, 64))).astype(np.float32)
    if loaded == "in the order of one component":
        vectors = vectors[np.argsort(vectors[:, 0])]
    # A segment has at most 2,000 rows.
    limits = Settings(hnsw_min_rows=500, lists_min_rows=1_000, max_segment_vector_bytes=1, compaction_threads=1)
    with quick_folder() as folder:
        stores = stores_at(folder, limits)
        scope, collection = new_collection(stores)
        engine, replica = Engine(stores), Replica.for_indexer(stores, collection.id)
        for first in range(0, 6_000, 2_000):
            rows = range(first, first + 2_000)
            engine.write(scope, Batch(Op.ADD, list(map(str, rows)), vectors[first : first + 2_000]))
            index(stores, replica, collection.id, idle=True)
        snapshot = replica.snapshot()
        asked = (vectors[7::60] + SOURCE.normal(size=(100, 64)) / 4).astype(np.float32)
        hits, probed, separate = [], 0, 0
        for query in asked:
            explanation = Explanation()
            hits.append(engine.find(scope, query[np.newaxis], 10, Selection(), frozenset(), explanation=explanation))
            for step in explanation.searches[0].neighbors[0].groups:
                probed += step.breadth or 0
            for group in snapshot.row_groups:
                assert group.lists is not None
                separate += group.lists.probes(10)
        stores.table.close()
    assert len(snapshot.row_groups) == 3
    assert recall(Space.L2, vectors, asked, [found.read()[0] for found in hits]) >= 0.95
    assert probed < 0.8 * separate


def recall(space: Space, vectors: NDArray[np.float32], asked: NDArray[np.float32], hits: list[QueryResult]) -> float:
    """The share of the ten answers that are as near as the exact ten."""
    correct = 0
    for query, result in zip(asked, hits, strict=True):
        exact = distance.exact_distances(space, vectors, query)
        rows = np.array(result.records.ids, dtype=np.int64)
        assert len(set(rows.tolist())) == 10
        correct += int((exact[rows] <= np.sort(exact)[9]).sum())
    return correct / (10 * len(asked))
