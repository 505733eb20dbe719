"""The collections that a process keeps open are bounded by number, by memtable bytes, and by cache space for segments.

In every case the least recently used collection is closed first.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.replica.replica_cache import ReplicaCache
from afterglow.collection.types import Scope, Selection
from afterglow.errors import StorageFull
from afterglow.jobs.index_messages import IDLE, handle
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Objects, Stores
from tests.support.stores import SMALL, new_collection, quick_folder, stores_at

A, B, C, D = range(4)


def filled_collection(stores: Stores, name: str) -> Scope:
    scope, _ = new_collection(stores, name)
    names = [f"{number}" for number in range(50)]
    Engine(stores).write(scope, Batch(Op.ADD, names, np.ones((50, 16), dtype=np.float32)))
    return scope


def record_count(engine: Engine, scope: Scope) -> int:
    return len(engine.get(scope, Selection(), None, 0, frozenset()).ids)


def open_in_turn(cache: ReplicaCache, scopes: Sequence[Scope], uses: Sequence[int]) -> None:
    """Use the collections one after another, each use as one request: open, then trim."""
    for use in uses:
        cache.open(scopes[use].collection)
        cache.trim()


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ([A, B, C], [B, C]),
        ([A, B, A, C], [A, C]),  # neither the first opened nor the last opened is closed
        ([A, B, B, A, C, A, D], [A, D]),
        ([A, B, C, A], [C, A]),
    ],
)
def test_the_least_recently_used_collection_is_closed_first(folder: Path, uses: list[int], expected: list[int]) -> None:
    stores = stores_at(folder, replace(SMALL, max_open_collections=2))
    scopes = [new_collection(stores, f"name-{number}")[0] for number in range(4)]
    cache = ReplicaCache(stores, None)
    open_in_turn(cache, scopes, uses)
    assert cache.ids() == [scopes[number].collection for number in expected]
    stores.table.close()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 7), min_size=30, max_size=60), st.integers(1, 5))
def test_any_sequence_of_uses_leaves_the_most_recent_ones_open(uses: list[int], limit: int) -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, replace(SMALL, max_open_collections=limit))
        scopes = [new_collection(stores, f"name-{number}")[0] for number in range(8)]
        cache = ReplicaCache(stores, None)
        for end in range(1, len(uses) + 1):
            open_in_turn(cache, scopes, uses[end - 1 : end])
            distinct = list(dict.fromkeys(reversed(uses[:end])))[:limit]
            assert cache.ids() == [scopes[number].collection for number in reversed(distinct)]
        stores.table.close()


def test_memtables_are_bounded_together_and_the_least_recently_used_is_closed_first(folder: Path) -> None:
    stores = stores_at(folder)
    scopes = [filled_collection(stores, f"name-{number}") for number in range(4)]
    probe = ReplicaCache(stores, None).open(scopes[A].collection).replica
    probe.snapshot()
    two_memtables = replace(stores, settings=replace(SMALL, max_memtable_bytes=2 * probe.memtable_bytes()))
    for uses, expected in (([A, B, A, C], [A, C]), ([A, B, C, B, D, B, A], [B, A])):
        engine = Engine(two_memtables)
        for number in uses:
            assert record_count(engine, scopes[number]) == 50
        assert engine._reader._cache.ids() == [scopes[number].collection for number in expected]
    stores.table.close()


def test_memtables_are_bounded_together_and_the_one_in_use_stays(folder: Path) -> None:
    stores = stores_at(folder, replace(SMALL, max_memtable_bytes=8_000))
    scopes = [filled_collection(stores, f"name-{number}") for number in range(5)]
    engine = Engine(stores)
    for scope in scopes * 2:
        assert record_count(engine, scope) == 50
        assert engine._reader._cache.ids()[-1] == scope.collection
        assert len(engine._reader._cache.ids()) <= 2
    stores.table.close()


def is_open(replica: Replica) -> bool:
    warm = replica.warm_rows()
    return warm is not None and warm.rows > 0


class SmallDiskCache:
    """Objects with space for the files of `capacity` collections, as long as the engine holds them open."""

    def __init__(self, inner: Objects, capacity: int) -> None:
        self.inner = inner
        self.capacity = capacity
        self.engine: Engine | None = None

    def local_path(self, key: str) -> Path:
        held = set[str]()
        if self.engine is not None:
            cache = self.engine._reader._cache
            held = {str(name) for name in cache.ids() if is_open(cache.open(name).replica)}
        if len(held - {key.partition("/")[0]}) >= self.capacity:
            raise StorageFull("no space")
        return self.inner.local_path(key)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def test_other_collections_are_closed_when_the_disk_cache_is_full(folder: Path) -> None:
    stores = stores_at(folder)
    scopes = [filled_collection(stores, f"name-{number}") for number in range(3)]
    for scope in scopes:
        handle(stores, f'{{"group": "{scope.collection}", "body": "{IDLE}"}}')
    small = SmallDiskCache(stores.objects, 1)
    engine = Engine(replace(stores, objects=small))  # type: ignore[arg-type]
    small.engine = engine
    for scope in scopes * 2:
        assert record_count(engine, scope) == 50
        assert engine._reader._cache.ids() == [scope.collection]
    stores.table.close()


def test_a_collection_larger_than_the_disk_cache_is_refused(folder: Path) -> None:
    stores = stores_at(folder)
    scope = filled_collection(stores, "large")
    handle(stores, f'{{"group": "{scope.collection}", "body": "{IDLE}"}}')
    engine = Engine(replace(stores, objects=SmallDiskCache(stores.objects, 0)))  # type: ignore[arg-type]
    with pytest.raises(StorageFull):
        record_count(engine, scope)
    stores.table.close()
