"""Several vectors in one query get what each would get alone, to the bit."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings
from tests.support.stores import new_collection, quick_folder, stores_at

ROWS, DIMENSION = 1_500, 12
EVERYTHING = frozenset(Include)


@pytest.fixture(scope="module", params=["l2", "ip", "cosine"])
def crowd(request: pytest.FixtureRequest) -> Iterator[tuple[Engine, Scope]]:
    """A segment with a graph, one without, and rows in the memtable; some rows are equal, some are deleted."""
    settings = Settings(hnsw_min_rows=1_000, exact_search_max_rows=30, compaction_threads=1)
    source = np.random.default_rng(11)
    vectors = source.normal(size=(ROWS, DIMENSION)).astype(np.float32)
    vectors[100:120] = vectors[100]
    ids = list(map(str, range(ROWS)))
    metadatas = [{"n": number, "percent": number % 100} for number in range(ROWS)]
    with quick_folder() as folder:
        stores = stores_at(folder, settings)
        scope, collection = new_collection(stores, space=request.param)
        engine = Engine(stores)
        for part in (slice(0, 1_100), slice(1_100, 1_300), slice(1_300, ROWS)):
            engine.write(
                scope,
                Batch(Op.ADD, ids[part], vectors[part], metadatas=metadatas[part], documents=ids[part]),
            )
            if part.stop < ROWS:
                index(stores, Replica.for_indexer(stores, collection.id), collection.id, idle=True)
        engine.write(scope, Batch(Op.DELETE, ["5", "1200", "1400"]))
        yield engine, scope
        stores.table.close()


@pytest.mark.slow
@pytest.mark.parametrize("k", [0, 1, 10, 300, 5_000])
@pytest.mark.parametrize(
    "where", [None, {"n": {"$lt": 5}}, {"percent": {"$gte": 97}}, {"percent": {"$lt": 50}}, {"n": -1}]
)
def test_many_vectors_get_the_results_of_single_queries(crowd: tuple[Engine, Scope], where: Any, k: int) -> None:
    engine, scope = crowd
    asked = np.random.default_rng(3).normal(size=(70, DIMENSION)).astype(np.float32)
    asked[7] = 0
    selection = Selection(where=parse_where(where))
    together = engine.query(scope, asked, k, selection, EVERYTHING)
    assert len(together) == len(asked)
    for vector, result in zip(asked, together, strict=True):
        (alone,) = engine.query(scope, vector[None], k, selection, EVERYTHING)
        assert result.records.ids == alone.records.ids
        assert result.distances.tobytes() == alone.distances.tobytes()
        assert result.records.documents == alone.records.documents
        assert result.records.metadatas == alone.records.metadatas
        assert np.array_equal(np.asarray(result.records.embeddings), np.asarray(alone.records.embeddings))


def test_no_vectors_have_no_results(crowd: tuple[Engine, Scope]) -> None:
    engine, scope = crowd
    assert engine.query(scope, np.empty((0, DIMENSION), np.float32), 3, Selection(), EVERYTHING) == []
