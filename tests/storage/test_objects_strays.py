"""Only regular files with UTF-8 names are objects; nothing is followed out of the folder."""

import os
from pathlib import Path

import pytest

from afterglow.settings import System
from afterglow.storage.local.objects import DirectoryObjects
from afterglow.storage.ports import ObjectNotFound


@pytest.fixture
def objects(tmp_path: Path) -> DirectoryObjects:
    objects = DirectoryObjects(tmp_path / "objects", System())
    objects.put("c/ours", b"ours")
    return objects


@pytest.fixture
def victims(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    (folder / "inner").mkdir(parents=True)
    for name in ("file", "inner/file"):
        (folder / name).write_bytes(b"victim")
        os.utime(folder / name, (1, 1))
    return folder


def keys(objects: DirectoryObjects, prefix: str) -> list[str]:
    return [info.key for info in objects.list(prefix)]


def test_links_and_special_files_are_no_objects(
    objects: DirectoryObjects, victims: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "objects"
    (root / "c/link").symlink_to(victims / "file")
    (root / "c/folder").symlink_to(victims)
    (root / "linked").symlink_to(victims)
    (root / "c/broken").symlink_to(tmp_path / "nothing")
    os.mkfifo(root / "c/pipe")
    for _ in range(2):
        assert keys(objects, "") == ["c/ours"]
        assert keys(objects, "c/") == ["c/ours"]
    for prefix in ("linked/", "linked/inner/", "c/folder/", "c/folder/inner/f", "c/link", "c/ours/", "missing/"):
        assert keys(objects, prefix) == []
    assert len(caplog.records) == 5
    for key in ("c/link", "c/pipe", "c/broken", "c"):
        with pytest.raises(ObjectNotFound):
            objects.get(key)
        with pytest.raises(ObjectNotFound):
            objects.local_path(key)
    objects.delete("c/link")
    assert (victims / "file").read_bytes() == b"victim"


def test_names_that_are_not_utf8_are_no_objects(objects: DirectoryObjects, tmp_path: Path) -> None:
    root = os.fsencode(tmp_path / "objects")
    Path(os.fsdecode(root + b"/c/\xff")).write_bytes(b"")
    Path(os.fsdecode(root + b"/\xfe")).mkdir()
    Path(os.fsdecode(root + b"/\xfe/x")).write_bytes(b"")
    assert keys(objects, "") == ["c/ours"]


def test_a_hidden_file_is_no_sign_of_data(tmp_path: Path) -> None:
    objects = DirectoryObjects(tmp_path, System())
    (tmp_path / ".DS_Store").write_bytes(b"")
    assert objects.is_empty()
    objects.put("c/ours", b"")
    assert not objects.is_empty()
