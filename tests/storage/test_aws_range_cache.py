"""Ranges on the local disk: within the limit, readers undisturbed, whatever happens to the cache's folder."""

import errno
import multiprocessing
import os
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afterglow.errors import StorageFull
from afterglow.settings import System
from afterglow.storage.aws.disk_cache import Allocate, DiskCache
from afterglow.storage.aws.object_reader import Part, SpanRequest
from afterglow.storage.aws.range_cache import RangeCache
from afterglow.storage.ports import Bytes, Ranges
from afterglow.storage.range_checks import checksums
from tests.contract.racing import in_threads
from tests.support.stores import Clock

MB = 1_000_000
CONTENT = np.random.default_rng(8).integers(0, 255, 4 * MB, dtype=np.uint8)


class Remote:
    """The objects of a bucket: all have the same content. Counts the bytes that were read."""

    def __init__(self) -> None:
        self.bytes_read = 0
        self.reads = 0
        self._lock = threading.Lock()

    def read(self, requests: Sequence[SpanRequest]) -> None:
        for request in requests:
            start, stop = request.bounds
            with self._lock:
                self.bytes_read += stop - start
                self.reads += 1
            request.deliver(Part(CONTENT.data[start:stop], len(CONTENT), "etag"))


@pytest.fixture
def remote() -> Remote:
    return Remote()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskCache]:
    cache = DiskCache(tmp_path / "cache", 3 * MB, _system())
    yield cache
    cache.close()


@pytest.fixture
def ranges(disk: DiskCache, remote: Remote) -> RangeCache:
    return RangeCache(disk, remote.read, str)


def _system() -> System:
    clock = Clock()
    return System(now=clock.now, monotonic=clock.now, sleep=clock.sleep)


def span(start: int, stop: int) -> Ranges:
    offsets, lengths = np.array([start], dtype=np.int64), np.array([stop - start], dtype=np.int64)
    return Ranges(offsets, lengths, checksums(CONTENT, offsets, lengths))


def need(ranges: RangeCache, key: str, start: int, stop: int) -> Bytes:
    (data,) = ranges.need([(ranges.open(key, len(CONTENT)), span(start, stop))])
    assert (data[start:stop] == CONTENT[start:stop]).all()
    return data


def test_what_is_there_is_not_read_again(ranges: RangeCache, remote: Remote) -> None:
    need(ranges, "a", 100, 500_000)
    need(ranges, "a", 200, 300_000)
    need(ranges, "a", 400_000, 500_000)
    assert remote.bytes_read == 499_900


def test_bytes_between_ranges_that_were_read_are_used(ranges: RangeCache, remote: Remote) -> None:
    offsets, lengths = np.array([0, 5_000], dtype=np.int64), np.array([1_000, 1_000], dtype=np.int64)
    file = ranges.open("a", len(CONTENT))
    ranges.need([(file, Ranges(offsets, lengths, checksums(CONTENT, offsets, lengths)))])
    assert (remote.reads, remote.bytes_read) == (1, 6_000)
    need(ranges, "a", 1_000, 5_000)
    assert remote.bytes_read == 6_000


def test_a_file_asked_for_twice_at_once_is_read_once(ranges: RangeCache, remote: Remote) -> None:
    file = ranges.open("a", len(CONTENT))
    one, two = ranges.need([(file, span(0, 1_000)), (file, span(500, 2_000))])
    assert one is two
    assert (remote.reads, remote.bytes_read) == (1, 2_000)


def test_the_least_recently_used_file_makes_room(ranges: RangeCache, disk: DiskCache, remote: Remote) -> None:
    for key in ("a", "b", "a", "c"):
        need(ranges, key, 0, 1_200_000)
        assert disk.used_bytes() <= 3 * MB
    read = remote.bytes_read
    need(ranges, "a", 0, 1_200_000)
    assert remote.bytes_read == read
    need(ranges, "b", 0, 1_200_000)
    assert remote.bytes_read == read + 1_200_000


def test_a_reader_keeps_the_bytes_of_a_file_that_made_room(ranges: RangeCache, disk: DiskCache) -> None:
    data = need(ranges, "a", 0, MB)
    for key in ("b", "c", "d"):
        need(ranges, key, 0, MB)
    assert (data[:MB] == CONTENT[:MB]).all()
    del data
    need(ranges, "e", 0, MB)
    assert disk.used_bytes() <= 3 * MB


def test_one_file_larger_than_the_cache_is_read_in_parts(ranges: RangeCache, disk: DiskCache) -> None:
    for start in range(0, 4 * MB, MB // 2):
        need(ranges, "large", start, start + MB // 2)
        assert disk.used_bytes() <= 3 * MB


def test_what_does_not_fit_at_once_is_refused(ranges: RangeCache, disk: DiskCache) -> None:
    with pytest.raises(StorageFull, match="AFTERGLOW_CACHE_MAX_BYTES"):
        need(ranges, "a", 0, 3 * MB + 1)
    held = [need(ranges, key, 0, 900_000) for key in "abc"]
    with pytest.raises(StorageFull, match="the rest is in use"):
        need(ranges, "d", 0, MB)
    del held
    need(ranges, "d", 0, MB)


def test_unused_copies_make_room_first(ranges: RangeCache, disk: DiskCache, remote: Remote) -> None:
    def fill(allocate: Allocate) -> None:
        os.pwrite(allocate(2 * MB), bytes(2 * MB), 0)

    need(ranges, "a", 0, 900_000)
    disk.file("copy", fill)
    need(ranges, "b", 0, 900_000)
    read = remote.bytes_read
    need(ranges, "a", 0, 900_000)
    assert remote.bytes_read == read


def test_ranges_make_room_for_copies(ranges: RangeCache, disk: DiskCache) -> None:
    def fill(allocate: Allocate) -> None:
        os.pwrite(allocate(2 * MB), bytes(2 * MB), 0)

    for key in "ab":
        need(ranges, key, 0, MB)
    disk.file("copy", fill)
    assert disk.used_bytes() <= 3 * MB


def test_a_complete_copy_is_used_and_a_damaged_one_replaced(
    ranges: RangeCache, disk: DiskCache, remote: Remote, tmp_path: Path
) -> None:
    disk.limit_bytes = 20 * MB
    path = disk.temporary_path("copy")
    path.write_bytes(CONTENT.tobytes())
    disk.insert("a", path)
    need(ranges, "a", 0, MB)
    assert remote.reads == 0
    ranges.forget("a")
    (copy,) = (tmp_path / "cache").glob("files-*/a")
    with copy.open("r+b") as file:
        file.write(bytes(100))
    need(ranges, "a", 0, MB)
    assert remote.bytes_read == MB


def test_a_folder_that_vanishes_is_created_again(ranges: RangeCache, disk: DiskCache, tmp_path: Path) -> None:
    data = need(ranges, "a", 0, MB)
    shutil.rmtree(tmp_path / "cache")
    assert (data[:MB] == CONTENT[:MB]).all()
    need(ranges, "a", MB, 2 * MB)
    need(ranges, "b", 0, MB)
    assert disk.used_bytes() <= 3 * MB
    other = DiskCache(tmp_path / "cache", 3 * MB, _system())
    need(ranges, "b", MB, 2 * MB)
    other.close()


def test_a_full_file_system_is_relieved_by_forgetting_files(
    ranges: RangeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may fill the file system, so it can be full below the limit."""
    pwrite, stored = os.pwrite, [0]

    def full(descriptor: int, data: Any, position: int) -> int:
        if stored[0] + len(data) > 2 * MB:
            stored[0] = 0
            raise OSError(errno.ENOSPC, "no space left on device")
        stored[0] += len(data)
        return pwrite(descriptor, data, position)

    monkeypatch.setattr(os, "pwrite", full)
    for key in ("a", "b", "c", "d"):
        need(ranges, key, 0, MB - 1)


def test_a_file_system_that_stays_full_is_named(ranges: RangeCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: Any, position: int) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageFull, match="no space left in the cache"):
        need(ranges, "a", 0, MB)


def test_nothing_stays_on_disk_after_a_process(ranges: RangeCache, disk: DiskCache, tmp_path: Path) -> None:
    data = need(ranges, "a", 0, MB)
    disk.close()
    assert [path for path in (tmp_path / "cache").rglob("*") if path.stat().st_size > 1_000 and path.is_file()] == []
    assert (data[:MB] == CONTENT[:MB]).all()


def test_threads_read_within_the_limit(ranges: RangeCache, disk: DiskCache) -> None:
    def work(number: int) -> int:
        random = np.random.default_rng(number)
        most = 0
        for _ in range(40):
            start = int(random.integers(0, 3 * MB))
            need(ranges, f"{random.integers(4)}", start, start + int(random.integers(1, 300_000)))
            most = max(most, disk.used_bytes())
        return most

    assert max(in_threads(4, work)) <= 3 * MB + MB


def _process(folder: Path, started: Any, results: Any) -> None:
    cache = DiskCache(folder, 3 * MB)
    ranges = RangeCache(cache, Remote().read, str)
    started.wait()
    for step in range(30):
        need(ranges, f"{step % 3}", (step * 70_000) % (3 * MB), (step * 70_000) % (3 * MB) + 400_000)
    results.put(sum(path.stat().st_blocks * 512 for path in folder.glob("work/*/*")))
    cache.close()


@pytest.mark.slow
def test_processes_share_a_folder(tmp_path: Path) -> None:
    """None fails, and together they stay within twice the limit."""
    context = multiprocessing.get_context("spawn")
    started, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_process, args=(tmp_path, started, results)) for _ in range(3)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert max(found) <= 2 * 3 * MB


def test_the_maps_of_a_large_cache_do_not_fill_the_memory(
    disk: DiskCache, ranges: RangeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterglow.storage.aws.range_cache._LOOK_BYTES", 2 * MB)
    file = ranges.open("a", len(CONTENT))
    (data,) = ranges.need([(file, span(0, MB))])
    for limit, is_released in ((2**60, False), (0, True)):
        monkeypatch.setattr("afterglow.storage.aws.range_cache._RESIDENT_BYTES", limit)
        assert bytes(data[:MB]) == CONTENT[:MB].tobytes()
        before = _resident_bytes(data)
        assert before >= MB // 2
        for _ in range(2):
            ranges.need([(file, span(0, MB))])
        assert (_resident_bytes(data) < before // 4) == is_released
    assert bytes(data[:MB]) == CONTENT[:MB].tobytes()
    assert disk.used_bytes() >= MB


def _resident_bytes(data: Bytes) -> int:
    """The bytes of a map in this process's memory."""
    address = data.__array_interface__["data"][0]
    lines = Path("/proc/self/smaps").read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line)]
    for start in starts:
        low, high = (int(edge, 16) for edge in lines[start].split()[0].split("-"))
        if low <= address < high:
            (rss,) = [line for line in lines[start : start + 25] if line.startswith("Rss:")][:1]
            return 1024 * int(rss.split()[1])
    raise AssertionError("the map is gone")
