"""The cache neither follows links out of its folder, nor removes or counts what is behind them."""

import os
from pathlib import Path

from afterglow.settings import System
from afterglow.storage.aws.disk_cache import Allocate, DiskCache


def test_nothing_behind_a_link_is_counted_or_removed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "cache"
    outside.mkdir()
    for number in range(3):
        (outside / f"{number}").write_bytes(b"x" * 4_000)
    folder.mkdir()
    (folder / "files-earlier").symlink_to(outside)
    (folder / "work").mkdir()
    (folder / "work/linked").symlink_to(outside)
    os.mkfifo(folder / "work/pipe")
    cache = DiskCache(folder, 10_000, System())
    files = next(path for path in folder.glob("files-*") if not path.is_symlink())
    (files / "linked").symlink_to(outside / "0")
    os.mkfifo(files / "pipe")
    assert cache.used_bytes() == 0

    def fill(allocate: Allocate) -> None:
        os.pwrite(allocate(6_000), b"x" * 6_000, 0)

    for number in range(4):
        cache.file(f"{number}", fill)
    assert cache.used_bytes() == 6_000
    cache.close()
    assert sorted(path.name for path in outside.iterdir()) == ["0", "1", "2"]
    assert all(path.stat().st_size == 4_000 for path in outside.iterdir())


def test_copies_are_not_evicted_through_a_linked_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_bytes(b"x" * 4_000)
    cache = DiskCache(tmp_path / "cache", 1_000, System())
    (files,) = (tmp_path / "cache").glob("files-*")
    files.rmdir()
    files.symlink_to(outside)
    cache.temporary_path("x")
    assert (outside / "victim").exists()
    cache.close()
