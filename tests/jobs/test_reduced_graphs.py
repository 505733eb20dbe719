"""A collection whose graph compares coordinates: it is written, extended, verified, and read by other releases."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from afterglow.catalog import collections
from afterglow.collection import Engine
from afterglow.collection.replica.checkpoint import graph_parameters
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.errors import Corrupt
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.segment import distance
from afterglow.segment import manifest as manifests
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.reader import Segment
from afterglow.settings import Settings
from afterglow.storage.ports import Stores
from tests.segment.flat_vectors import SPACES, flat
from tests.support.stores import new_collection, quick_folder, stores_at

pytestmark = pytest.mark.slow

ROWS, MORE, DIMENSION = 2_600, 1_400, 160
VECTORS = flat(8, 30, rows=ROWS + MORE + 40, dimension=DIMENSION)
QUERIES = VECTORS[ROWS + MORE :]


@dataclass(frozen=True)
class Loaded:
    stores: Stores
    scope: Scope
    space: Space

    def write(self, first: int, last: int) -> None:
        names = [f"{number}" for number in range(first, last)]
        metadatas = [{"half": number % 2} for number in range(first, last)]
        Engine(self.stores).write(self.scope, Batch(Op.UPSERT, names, VECTORS[first:last], metadatas=metadatas))
        replica = Replica.for_indexer(self.stores, self.scope.collection)
        index(self.stores, replica, self.scope.collection, idle=True)

    def segment(self) -> SegmentInfo:
        state = collections.by_id(self.stores.table, self.scope.collection)
        assert state is not None
        assert state.manifest_key is not None
        (info,) = manifests.load(self.stores.objects, state.manifest_key).segments
        return info

    def open(self, info: SegmentInfo) -> Segment:
        state = collections.by_id(self.stores.table, self.scope.collection)
        assert state is not None
        return Segment(self.stores.objects, info, graph_parameters(state))

    def recall(self, rows: NDArray[np.int64], where: dict[str, int] | None = None) -> float:
        engine, selection = Engine(self.stores), Selection(where=None if where is None else parse_where(where))
        results = engine.query(self.scope, QUERIES, 10, selection, frozenset({Include.DISTANCES}))
        found = 0
        for query, result in zip(QUERIES, results, strict=True):
            exact = distance.exact_distances(self.space, VECTORS[rows], query)
            best = np.sort(exact)[:10]
            assert result.distances is not None
            own = distance.exact_distances(self.space, VECTORS[[int(name) for name in result.records.ids]], query)
            np.testing.assert_array_equal(result.distances, own)
            found += int((own <= best[-1]).sum())
        return found / (10 * len(QUERIES))


@pytest.fixture(params=SPACES)
def loaded(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    settings = Settings(hnsw_min_rows=500, exact_search_max_rows=0, index="graph", compaction_threads=1)
    with quick_folder() as folder:
        stores = stores_at(folder, settings)
        scope, _ = new_collection(stores, space=request.param)
        made = Loaded(stores, scope, request.param)
        made.write(0, ROWS)
        yield made
        stores.table.close()


def basis(loaded: Loaded) -> Vectors:
    graph = loaded.open(loaded.segment()).graph
    assert graph is not None
    assert graph.reduction is not None
    return graph.reduction.basis


def test_answers_are_exact_and_near_enough_before_and_after_an_extension(loaded: Loaded) -> None:
    assert loaded.segment().graph_role == "reduced_graph"
    assert loaded.recall(np.arange(ROWS)) >= 0.98
    before = basis(loaded)
    loaded.write(ROWS, ROWS + MORE)
    np.testing.assert_array_equal(basis(loaded), before)
    assert loaded.recall(np.arange(ROWS + MORE)) >= 0.98
    assert loaded.recall(np.arange(1, ROWS + MORE, 2), {"half": 1}) >= 0.98
    Engine(loaded.stores).delete(loaded.scope, Selection([f"{number}" for number in range(1_000)]))
    loaded.write(ROWS, ROWS + 10)
    assert loaded.recall(np.arange(1_000, ROWS + MORE)) >= 0.98


def test_a_release_that_does_not_know_the_role_scans_the_segment(loaded: Loaded) -> None:
    info = loaded.segment()
    known = {role: file for role, file in info.files.items() if role != "reduced_graph"}
    segment = loaded.open(replace(info, files=known))
    assert segment.graph is None
    assert segment.rows.rows == ROWS


def test_a_graph_without_its_basis_is_named(loaded: Loaded) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, loaded.stores.settings)
        whole = Loaded(stores, new_collection(stores, space=loaded.space)[0], loaded.space)
        whole.write(0, 600)
        info = whole.segment()
        files = {"reduced_graph" if role == "graph" else role: file for role, file in info.files.items()}
        with pytest.raises(Corrupt, match=r"rows has no basis of the segment's graph"):
            whole.open(replace(info, files=files))
        stores.table.close()
