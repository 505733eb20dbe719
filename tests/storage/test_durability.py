"""What an object's name promises: its bytes were synced before it had the name, and the name was synced after."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from afterglow.settings import System
from afterglow.storage.local.objects import DirectoryObjects


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The syncs and renames of this process, in order."""
    recorded: list[str] = []
    fsync, link, replace = os.fsync, os.link, Path.replace

    def record_fsync(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        recorded.append("sync folder" if target.is_dir() else "sync file")
        fsync(descriptor)

    def record_link(source: Path, target: Path) -> None:
        recorded.append("name")
        link(source, target)

    def record_replace(source: Path, target: Path) -> Path:
        recorded.append("name")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "link", record_link)
    monkeypatch.setattr(Path, "replace", record_replace)
    return recorded


def put(objects: DirectoryObjects) -> None:
    objects.put("a/object", b"bytes")


def put_if_absent(objects: DirectoryObjects) -> None:
    objects.put("a/object", b"bytes", if_absent=True)


def upload(objects: DirectoryObjects) -> None:
    path = objects.temporary_path("file")
    path.write_bytes(b"bytes")
    objects.upload("a/object", path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the files of a process are seen in /proc")
@pytest.mark.parametrize("write", [put, put_if_absent, upload])
def test_bytes_are_synced_before_the_name_and_the_name_after(
    folder: Path, calls: list[str], write: Callable[[DirectoryObjects], None]
) -> None:
    objects = DirectoryObjects(folder, System())
    calls.clear()
    write(objects)
    name = calls.index("name")
    assert "sync file" in calls[:name]
    assert calls[-1] == "sync folder"
    assert name < len(calls) - 1
    assert objects.get("a/object") == b"bytes"
