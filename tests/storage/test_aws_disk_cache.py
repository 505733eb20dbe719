"""The cache of copies: its limit, what is in use, crashes, several at once."""

import errno
import fcntl
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afterglow.errors import StorageFull, Unavailable
from afterglow.settings import System
from afterglow.storage.aws import disk_cache as module
from afterglow.storage.aws.cache_folder import allocate_blocks
from afterglow.storage.aws.disk_cache import Allocate, DiskCache
from tests.contract.racing import in_threads
from tests.support.stores import Clock

KB = 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Iterator[DiskCache]:
    made = DiskCache(tmp_path, 10 * KB, System(now=clock.now, monotonic=clock.now))
    yield made
    made.close()


def filling(size: int, letter: bytes = b"x") -> Callable[[Allocate], None]:
    def fill(begin: Allocate) -> None:
        os.pwrite(begin(size), letter * size, 0)

    return fill


def put(cache: DiskCache, clock: Clock, name: str, size: int = 3 * KB) -> Path:
    clock.skipped += 1
    return cache.file(name, filling(size))


def never(begin: Allocate) -> None:
    raise AssertionError("it is here already")


def test_a_copy_is_made_once(cache: DiskCache) -> None:
    path = cache.file("bucket/a/b", filling(5))
    assert path.read_bytes() == b"xxxxx"
    assert cache.file("bucket/a/b", never) == path
    assert cache.file("bucket/a", filling(0)).read_bytes() == b""
    assert cache.file("bucket/" + "long/" * 100, filling(1)).read_bytes() == b"x"


def test_the_least_recently_used_make_room(cache: DiskCache, clock: Clock) -> None:
    first, second, third = (put(cache, clock, name) for name in ("first", "second", "third"))
    clock.skipped += 1
    cache.file("first", never)
    put(cache, clock, "fourth", 4 * KB)
    assert [path.exists() for path in (first, second, third)] == [True, False, True]
    assert cache.used_bytes() == 10 * KB
    put(cache, clock, "fifth", 8 * KB)
    assert [path.exists() for path in (first, second, third)] == [False, False, False]


def test_using_a_copy_leaves_its_modification_time(cache: DiskCache, clock: Clock) -> None:
    path = put(cache, clock, "name")
    before = path.stat().st_mtime_ns
    clock.skipped += 100
    cache.file("name", never)
    assert path.stat().st_mtime_ns == before
    assert path.stat().st_atime > before / 1e9 + 50


def test_a_file_in_use_is_not_evicted(cache: DiskCache, clock: Clock) -> None:
    first, second, third = (put(cache, clock, name) for name in ("first", "second", "third"))
    with first.open("rb") as used:
        fcntl.flock(used, fcntl.LOCK_SH)
        put(cache, clock, "fourth")
        assert [path.exists() for path in (first, second, third)] == [True, False, True]
        with pytest.raises(StorageFull, match="AFTERGLOW_CACHE_MAX_BYTES"):
            put(cache, clock, "fifth", 8 * KB)
        assert first.read_bytes() == b"x" * 3 * KB
    put(cache, clock, "fifth", 8 * KB)
    assert not first.exists()


def test_a_file_larger_than_the_cache_is_refused_and_leaves_nothing(cache: DiskCache, clock: Clock) -> None:
    with pytest.raises(StorageFull, match="no room for 10001 bytes"):
        put(cache, clock, "large", 10 * KB + 1)
    assert cache.used_bytes() == 0
    put(cache, clock, "large", 10 * KB)


def test_concurrent_downloads_do_not_reserve_the_same_space(cache: DiskCache) -> None:
    both = threading.Barrier(2)

    def fill(begin: Allocate) -> None:
        try:
            descriptor = begin(6 * KB)
        finally:
            both.wait(10)
        os.pwrite(descriptor, b"x", 6 * KB - 1)

    def work(number: int) -> bool:
        try:
            cache.file(f"{number}", fill)
        except StorageFull:
            return False
        return True

    assert sorted(in_threads(2, work)) == [False, True]
    assert cache.used_bytes() == 6 * KB


def test_scratch_files_count(cache: DiskCache, clock: Clock) -> None:
    path = put(cache, clock, "copy", 6 * KB)
    cache.temporary_path("one").write_bytes(bytes(9 * KB))
    assert path.exists()
    cache.temporary_path("two")
    assert not path.exists()
    with pytest.raises(StorageFull):
        put(cache, clock, "copy", 6 * KB)
    cache.insert("other", cache.temporary_path("one"))
    put(cache, clock, "copy", 6 * KB)


def test_one_of_many_threads_fills_a_copy(cache: DiskCache) -> None:
    made: list[int] = []

    def fill(begin: Allocate) -> None:
        made.append(1)
        filling(KB)(begin)

    assert len(set(in_threads(16, lambda _: cache.file("wanted", fill)))) == 1
    assert len(made) == 1


def test_waiting_threads_get_the_error_and_the_next_call_retries(cache: DiskCache) -> None:
    tried: list[int] = []
    gate = threading.Event()

    def fill(begin: Allocate) -> None:
        begin(KB)
        tried.append(1)
        gate.wait(0.2)
        raise Unavailable("not now")

    def work(_: int) -> bool:
        try:
            cache.file("wanted", fill)
        except Unavailable:
            return False
        return True

    assert in_threads(8, work) == [False] * 8
    assert len(tried) < 8
    assert cache.used_bytes() == 0
    assert cache.file("wanted", filling(KB)).stat().st_size == KB


def test_a_failed_download_leaves_nothing(cache: DiskCache) -> None:
    def fill(begin: Allocate) -> None:
        os.pwrite(begin(4 * KB), b"half", 0)
        raise OSError(errno.ECONNRESET, "reset")

    with pytest.raises(Unavailable):
        cache.file("name", fill)
    assert cache.used_bytes() == 0


def test_a_full_disk_takes_copies_first(cache: DiskCache, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may fill the file system, so it can be full below the limit."""
    for name in ("first", "second"):
        put(cache, clock, name)
    room = 5 * KB

    def full(descriptor: int, size: int) -> None:
        if cache.used_bytes() + size > room:
            raise OSError(errno.ENOSPC, "no space left on device")
        allocate_blocks(descriptor, size)

    monkeypatch.setattr(module, "allocate_blocks", full)
    put(cache, clock, "third", 5 * KB)
    assert cache.used_bytes() == 5 * KB
    with pytest.raises(StorageFull, match="no space left"):
        put(cache, clock, "fourth", 6 * KB)
    assert cache.used_bytes() == 0
    put(cache, clock, "fifth", 5 * KB)


def test_by_default_four_fifths_of_the_file_system_are_used(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    assert DiskCache(tmp_path).limit_bytes == status.f_blocks * status.f_frsize * 4 // 5


def _die_while_downloading(folder: Path) -> None:
    def fill(begin: Allocate) -> None:
        os.pwrite(begin(5 * KB), b"half", 0)
        os._exit(9)

    cache = DiskCache(folder, 10 * KB)
    cache.file("whole", filling(2 * KB))
    cache.temporary_path("segment").write_bytes(bytes(KB))
    cache.file("half", fill)


@pytest.mark.slow
def test_temporary_files_of_a_crash_are_removed_and_complete_copies_stay(cache: DiskCache, tmp_path: Path) -> None:
    mine = cache.temporary_path("in work")
    mine.write_bytes(bytes(KB))
    process = multiprocessing.get_context("spawn").Process(target=_die_while_downloading, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    assert cache.used_bytes() == (1 + 2 + 5 + 1) * KB
    later = DiskCache(tmp_path, 10 * KB)
    assert later.used_bytes() == (1 + 2) * KB
    assert later.file("whole", never).stat().st_size == 2 * KB
    assert mine.exists()
    assert later.file("half", filling(KB)).stat().st_size == KB
    later.close()


def test_closing_removes_temporary_files(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10 * KB)
    cache.temporary_path("name").write_bytes(b"x")
    cache.close()
    assert [*(tmp_path / "work").iterdir()] == []
    DiskCache(tmp_path, 10 * KB)  # forgotten without closing
    assert [*(tmp_path / "work").iterdir()] == []


def test_copies_of_an_earlier_boot_are_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DiskCache(tmp_path, 10 * KB).file("name", filling(KB))
    monkeypatch.setattr(module, "boot_id", lambda: "another")
    cache = DiskCache(tmp_path, 10 * KB)
    assert cache.used_bytes() == 0
    assert cache.file("name", filling(KB, b"y")).read_bytes() == b"y" * KB
    assert [path.name for path in tmp_path.glob("files-*")] == ["files-another"]


def test_a_name_that_is_dropped_is_made_anew_and_maps_of_it_live_on(cache: DiskCache) -> None:
    with cache.file("name", filling(KB)).open("rb") as file:
        cache.invalidate("name")
        cache.invalidate("never there")
        assert cache.file("name", filling(KB, b"y")).read_bytes() == b"y" * KB
        assert file.read() == b"x" * KB


def test_an_unusable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="folder"):
        DiskCache(tmp_path / "file" / "cache", KB)


def test_concurrent_opening_and_closing(tmp_path: Path) -> None:
    """One sweeps while another makes its folder."""

    def work(number: int) -> None:
        for turn in range(20):
            cache = DiskCache(tmp_path, 100 * KB)
            cache.temporary_path("name").write_bytes(b"x")
            assert cache.file(f"{number} {turn}", filling(10)).exists()
            assert cache.temporary_path("name").read_bytes() == b"x"
            cache.close()

    in_threads(4, work)
