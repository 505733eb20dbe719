"""The directory adapter beyond its port: leftovers, and disks that fail."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afterglow.errors import AfterglowError, StorageFull, Unavailable
from afterglow.settings import System
from afterglow.storage.local.objects import DirectoryObjects


@pytest.fixture
def objects(tmp_path: Path) -> DirectoryObjects:
    return DirectoryObjects(tmp_path / "objects", System())


def scratch_of(objects: DirectoryObjects) -> list[Path]:
    return [*objects.temporary_path("x").parent.iterdir()]


def failing(code: int) -> Callable[..., Any]:
    def fail(*arguments: object, **options: object) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, Unavailable)]
)
@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_a_failing_disk_leaves_no_object_and_no_scratch(
    objects: DirectoryObjects, monkeypatch: pytest.MonkeyPatch, call: str, code: int, kind: type[AfterglowError]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(call, failing(code))
        with pytest.raises(kind, match="key"):
            objects.put("folder/key", b"data")
    assert scratch_of(objects) == []
    assert [*objects.list("")] == []
    objects.put("folder/key", b"data")
    assert objects.get("folder/key") == b"data"


def test_emptied_folders_go(objects: DirectoryObjects, tmp_path: Path) -> None:
    objects.put("a/b/one", b"")
    objects.put("a/two", b"")
    objects.delete("a/b/one")
    assert not (tmp_path / "objects" / "a" / "b").exists()
    objects.delete("a/two")
    assert not (tmp_path / "objects" / "a").exists()
    assert (tmp_path / "objects").is_dir()


def test_an_upload_of_nothing_is_unavailable(objects: DirectoryObjects) -> None:
    with pytest.raises(Unavailable, match="key"):
        objects.upload("key", objects.temporary_path("never written"))


def test_a_place_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable):
        DirectoryObjects(tmp_path / "file" / "objects", System())
