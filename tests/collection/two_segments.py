"""A collection of two clustered segments, and what a cold reader finds in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.segment.distance import Space
from afterglow.settings import Settings
from afterglow.storage.ports import Stores
from tests.support.remote import StrictObjects
from tests.support.stores import new_collection, quick_folder, stores_at

ROWS, DIMENSION = 6_000, 96
DISTANCES = frozenset({Include.DISTANCES})


@dataclass(frozen=True)
class TwoSegments:
    """Its rows are in the order of ids, "0", "1", …; `replica` is that of the indexer."""

    stores: Stores
    scope: Scope
    space: Space
    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    replica: Replica

    def find(self, query: NDArray[np.float32], k: int, where: Any = None) -> tuple[list[int], StrictObjects]:
        """The rows that a cold reader finds."""
        objects = StrictObjects(self.stores.objects)
        engine = Engine(replace(self.stores, objects=objects))
        selection = Selection() if where is None else Selection(where=parse_where(where))
        hits = engine.find(self.scope, query[np.newaxis], k, selection, DISTANCES)
        return list(map(int, hits.read()[0].records.ids)), objects

    def index(self) -> None:
        """Index what was written, as for an idle collection."""
        index(self.stores, self.replica, self.scope.collection, idle=True)


@contextmanager
def two_segments(space: Space, seed: int, metadata: Callable[[int], dict[str, Any]]) -> Iterator[TwoSegments]:
    """The collection; row `number` has the metadata `metadata(number)`."""
    settings = Settings(hnsw_min_rows=500, lists_min_rows=1_000, max_segment_vector_bytes=1, index="lists")
    source = np.random.default_rng(seed)
    centers = source.normal(size=(50, DIMENSION))
    shape = ROWS, DIMENSION
    vectors = (centers[source.integers(50, size=ROWS)] / 2 + source.normal(size=shape)).astype(np.float32)
    queries = (vectors[::150] + source.normal(size=(ROWS // 150, DIMENSION)) / 4).astype(np.float32)
    with quick_folder() as folder:
        stores = stores_at(folder, settings)
        scope, state = new_collection(stores, space=space)
        loaded = TwoSegments(stores, scope, space, vectors, queries, Replica.for_indexer(stores, state.id))
        engine = Engine(stores)
        for first in range(0, ROWS, 3_000):
            rows = range(first, first + 3_000)
            part = vectors[first : first + 3_000]
            engine.write(scope, Batch(Op.ADD, list(map(str, rows)), part, metadatas=list(map(metadata, rows))))
            loaded.index()
        assert all(group.lists is not None for group in loaded.replica.snapshot().row_groups)
        yield loaded
        stores.table.close()
