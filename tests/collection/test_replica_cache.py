"""What a process keeps open is bounded: by number, by the bytes of tails, by the room that segments may take."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.types import Scope, Selection
from afterglow.errors import StorageFull
from afterglow.jobs.index_messages import IDLE, handle
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Objects, Stores
from tests.support.stores import SMALL, new_collection, stores_at


def written(stores: Stores, name: str) -> Scope:
    scope, _ = new_collection(stores, name)
    names = [f"{number}" for number in range(50)]
    Engine(stores).write(scope, Batch(Op.ADD, names, np.ones((50, 16), dtype=np.float32)))
    return scope


def ids(engine: Engine, scope: Scope) -> int:
    return len(engine.get(scope, Selection(), None, 0, frozenset()).ids)


def test_tails_are_bounded_together_and_the_one_in_use_stays(folder: Path) -> None:
    stores = stores_at(folder, replace(SMALL, max_memtable_bytes=8_000))
    scopes = [written(stores, f"name-{number}") for number in range(5)]
    engine = Engine(stores)
    for scope in scopes * 2:
        assert ids(engine, scope) == 50
        assert engine._reader._cache.ids()[-1] == scope.collection
        assert len(engine._reader._cache.ids()) <= 2
    stores.table.close()


class Cramped:
    """Objects with room for the files of so many collections, as long as somebody holds them."""

    def __init__(self, inner: Objects, engine_holds: int) -> None:
        self.inner = inner
        self.most = engine_holds
        self.engine: Engine | None = None

    def local_file(self, key: str) -> Path:
        held = (
            {
                str(each)
                for each in self.engine._reader._cache.ids()
                if self.engine._reader._cache.open(each).replica.warm_row_count()
            }
            if self.engine
            else set()
        )
        if len(held - {key.partition("/")[0]}) >= self.most:
            raise StorageFull("no room")
        return self.inner.local_path(key)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def test_other_collections_make_room_for_the_one_that_is_read(folder: Path) -> None:
    stores = stores_at(folder)
    scopes = [written(stores, f"name-{number}") for number in range(3)]
    for scope in scopes:
        handle(stores, f'{{"group": "{scope.collection}", "body": "{IDLE}"}}')
    cramped = Cramped(stores.objects, 1)
    engine = Engine(replace(stores, objects=cramped))  # type: ignore[arg-type]
    cramped.engine = engine
    for scope in scopes * 2:
        assert ids(engine, scope) == 50
        assert engine._reader._cache.ids() == [scope.collection]
    stores.table.close()


def test_a_collection_too_large_for_the_room_says_so(folder: Path) -> None:
    stores = stores_at(folder)
    scope = written(stores, "large")
    handle(stores, f'{{"group": "{scope.collection}", "body": "{IDLE}"}}')
    cramped = Cramped(stores.objects, 0)
    engine = Engine(replace(stores, objects=cramped))  # type: ignore[arg-type]
    with pytest.raises(StorageFull):
        ids(engine, scope)
    stores.table.close()
