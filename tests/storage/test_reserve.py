"""The reserve: created by the first write, given up for deletions, required by every other write."""

import errno
from pathlib import Path

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.types import Selection
from afterglow.errors import StorageFull
from afterglow.log.batch import Batch, Op
from afterglow.storage.local import reserve
from afterglow.storage.local.reserve import RESERVE_BYTES, Reserve
from afterglow.storage.ports import Put
from tests.support.stores import new_collection, stores_at


def test_created_once_and_given_up_once(folder: Path) -> None:
    path = folder / "reserve"
    reserved = Reserve(path)
    assert not reserved.release()
    reserved.ensure()
    assert path.stat().st_blocks * 512 >= RESERVE_BYTES
    modified = path.stat().st_mtime_ns
    reserved.ensure()
    assert path.stat().st_mtime_ns == modified
    assert reserved.release()
    assert not path.exists()


def test_one_cut_short_is_completed(folder: Path) -> None:
    path = folder / "reserve"
    path.write_bytes(b"x")
    Reserve(path).ensure()
    assert path.stat().st_size == RESERVE_BYTES


def test_without_space_nothing_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(reserve, "_allocate", refuse)
    with pytest.raises(OSError, match="full"):
        Reserve(folder / "reserve").ensure()
    assert list(folder.iterdir()) == []


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"1")
    (folder / "reserve").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="symbolic"):
        Reserve(folder / "reserve").ensure()
    assert (tmp_path / "outside").read_bytes() == b"1"


def test_only_deletions_use_what_the_reserve_gave_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without any space but the reserve's."""
    stores = stores_at(folder)
    engine = Engine(stores)
    scope = new_collection(stores)[0]
    new_collection(stores, "second")
    write = Batch(Op.UPSERT, ["a", "b"], np.ones((2, 3), dtype=np.float32))
    engine.write(scope, write)
    path = folder / "reserve"
    assert path.exists()

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(reserve, "_allocate", refuse)
    table_put, table_transact = stores.table.put, stores.table.transact

    def put(pk: str, sk: str, value: bytes, **conditions: object) -> int:
        if path.exists():
            raise StorageFull("no space left")
        return table_put(pk, sk, value, **conditions)  # type: ignore[arg-type]

    def transact(writes: list[Put]) -> None:
        if path.exists():
            raise StorageFull("no space left")
        table_transact(writes)

    monkeypatch.setattr(stores.table, "put", put)
    monkeypatch.setattr(stores.table, "transact", transact)
    with pytest.raises(StorageFull):
        engine.write(scope, write)
    assert engine.delete(scope, Selection(["a"])).count == 1
    assert not path.exists()
    with pytest.raises(StorageFull):
        engine.write(scope, write)
    with pytest.raises(StorageFull):
        new_collection(stores, "third")
    engine.delete_collection("default_tenant", "default_database", "second")
    assert engine.count(scope).count == 1
    monkeypatch.undo()
    engine.write(scope, write)
    assert path.exists()
    assert engine.count(scope).count == 2
    stores.table.close()
