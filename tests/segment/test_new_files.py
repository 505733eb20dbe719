"""A segment that cannot be written leaves nothing: no temporary file, no object."""

import errno
from pathlib import Path
from typing import Any

import pytest

from afterglow.segment import array_file
from tests.jobs.environment import Environment
from tests.support.stores import Clock, new_collection, stores_at


def left_files(folder: Path) -> list[str]:
    """The temporary files with content, and the files of segments."""
    found = [path for path in (folder / "objects").rglob("*") if path.is_file() and path.suffix != ".lock"]
    return [path.name for path in found if ".scratch" in path.parts or "segments" in path.parts]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    stores = stores_at(folder)
    scope, collection = new_collection(stores)
    env = Environment(stores, Clock(), scope, collection.id)
    env.write("a", "b")
    write, calls = array_file.write, []

    def limited(path: Path, *rest: Any) -> str:
        calls.append(path)
        if len(calls) > failing:
            path.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "no space left")
        return write(path, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(array_file, "write", limited)
        with pytest.raises(OSError, match="no space"):
            env.flush()
    assert len(calls) == failing + 1
    assert left_files(folder) == []
    env.flush()
    assert env.ids() == ["a", "b"]
    stores.table.close()


def test_a_failed_upload(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = stores_at(folder)
    scope, collection = new_collection(stores)
    env = Environment(stores, Clock(), scope, collection.id)
    env.write("a")
    env.flush()
    env.write("b")
    env.delete("a")
    env.write("c")
    before = left_files(folder)
    upload = stores.objects.upload

    def limited(key: str, path: Path) -> None:
        if key.endswith("rows"):
            raise OSError(errno.ENOSPC, "no space left")
        upload(key, path)

    with monkeypatch.context() as patched:
        patched.setattr(stores.objects, "upload", limited)
        with pytest.raises(OSError, match="no space"):
            env.flush()
    assert left_files(folder) == before
    env.flush()
    assert env.ids() == ["b", "c"]
    stores.table.close()
