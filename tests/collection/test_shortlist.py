"""Shortlists by binary codes: fewer lists are read, in one round more, and the nearest are found all the same."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Include, Scope, Selection
from afterglow.errors import Corrupt
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.segment import distance
from afterglow.segment.distance import Space
from afterglow.segment.list_index import ListIndex
from afterglow.settings import Settings
from afterglow.storage.ports import Stores
from tests.support.remote import StrictObjects
from tests.support.stores import new_collection, quick_folder, stores_at

pytestmark = pytest.mark.slow

ROWS, DIMENSION = 6_000, 96


@dataclass(frozen=True)
class Loaded:
    """A collection of two clustered segments, its rows in the order of ids; a tenth has each value of `tenth`."""

    stores: Stores
    scope: Scope
    space: Space
    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]

    def find(self, query: NDArray[np.float32], k: int, tenth: int | None) -> tuple[list[int], StrictObjects]:
        """The rows that a cold reader finds."""
        objects = StrictObjects(self.stores.objects)
        engine = Engine(replace(self.stores, objects=objects))
        selection = Selection() if tenth is None else Selection(where=parse_where({"tenth": tenth}))
        hits = engine.find(self.scope, query[np.newaxis], k, selection, frozenset({Include.DISTANCES}))
        return list(map(int, hits.read()[0].records.ids)), objects


@pytest.fixture(scope="module", params=[Space.L2, Space.COSINE, Space.IP])
def loaded(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    settings = Settings(hnsw_min_rows=500, lists_min_rows=1_000, max_segment_vector_bytes=1, index="lists")
    source = np.random.default_rng(23)
    centers = source.normal(size=(50, DIMENSION))
    shape = ROWS, DIMENSION
    vectors = (centers[source.integers(50, size=ROWS)] / 2 + source.normal(size=shape)).astype(np.float32)
    queries = (vectors[::150] + source.normal(size=(ROWS // 150, DIMENSION)) / 4).astype(np.float32)
    with quick_folder() as folder:
        stores = stores_at(folder, settings)
        scope, state = new_collection(stores, space=request.param)
        engine, replica = Engine(stores), Replica.for_indexer(stores, state.id)
        for first in range(0, ROWS, 3_000):
            rows = range(first, first + 3_000)
            metadatas = [{"tenth": row % 10} for row in rows]
            engine.write(
                scope, Batch(Op.ADD, list(map(str, rows)), vectors[first : first + 3_000], metadatas=metadatas)
            )
            index(stores, replica, state.id, idle=True)
        assert all(group.lists is not None for group in replica.snapshot().row_groups)
        yield Loaded(stores, scope, request.param, vectors, queries)
        stores.table.close()


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's segments are so small that no shortlist would be worth its round."""
    monkeypatch.setattr("afterglow.collection.read.shortlist._WORTH_BYTES", -(2**60))


@pytest.mark.parametrize(("k", "tenth"), [(10, 3), (50, 3), (10, None), (300, None)])
@pytest.mark.usefixtures("always")
def test_the_nearest_are_on_the_shortlist(loaded: Loaded, k: int, tenth: int | None) -> None:
    allowed = np.arange(ROWS) if tenth is None else np.arange(tenth, ROWS, 10)
    found = 0
    for query in loaded.queries:
        exact = distance.exact_distances(loaded.space, loaded.vectors[allowed], query)
        rows, objects = loaded.find(query, k, tenth)
        assert len(set(rows)) == k
        assert set(rows) <= set(allowed.tolist())
        near = allowed[np.argsort(exact, kind="stable")[:k]]
        found += len(set(rows) & set(near.tolist()))
        steps = [sorted({key.rpartition("/")[2] for key in keys if "/segments/" in key}) for keys in objects.rounds]
        assert ["binary_codes"] in steps
    assert found / (k * len(loaded.queries)) >= 0.95


def test_a_shortlist_that_saves_too_little_is_not_made(loaded: Loaded) -> None:
    for tenth in (None, 3):
        _, objects = loaded.find(loaded.queries[0], 10, tenth)
        assert not any(key.endswith("/binary_codes") for keys in objects.rounds for key in keys)


@pytest.mark.usefixtures("always")
def test_fewer_lists_are_read_and_a_segment_without_binary_codes_keeps_its_lists(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bytes_of_lists() -> int:
        total = 0
        for query in loaded.queries[:10]:
            rows, objects = loaded.find(query, 10, 3)
            assert len(rows) == 10
            total += sum(size for keys in objects.rounds for key, size in keys.items() if key.endswith("/lists"))
        return total

    monkeypatch.setattr(ListIndex, "shortlisted", lambda *_: 20)
    with_codes = bytes_of_lists()
    monkeypatch.setattr(ListIndex, "shortlisted", lambda *_: None)
    assert with_codes < 0.7 * bytes_of_lists()


@pytest.mark.usefixtures("always")
def test_damaged_binary_codes_are_named(loaded: Loaded) -> None:
    (*_, key) = [found.key for found in loaded.stores.objects.list("") if found.key.endswith("/binary_codes")]
    path = loaded.stores.objects.local_path(key)
    sound = path.read_bytes()
    middle = len(sound) // 2
    path.chmod(0o600)
    try:
        path.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
        with pytest.raises(Corrupt, match="binary_codes is damaged"):
            deque((loaded.find(query, 300, None) for query in loaded.queries), maxlen=0)
    finally:
        path.write_bytes(sound)
