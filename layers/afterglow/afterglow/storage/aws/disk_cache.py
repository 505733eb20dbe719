"""A size-limited LRU cache of objects on the local disk.

Its folder contains::

    files-<boot>/<name>     complete copies; their access time is the time of last use
    work/<nonce>/…          files of one process: downloads, uploads, sparse files (`storage.aws.range_cache`)

* A copy appears by a rename, so an existing name is complete. Its bytes, size and modification time never change.
* A reader that maps a copy holds a shared `flock` on it. Eviction removes only files whose exclusive lock is free, so a
  file in use stays. Between `file` and the lock it may be evicted; the reader then requests it again.
* Space is reserved before the first byte of a download arrives, so two downloads never reserve the same space. When
  nothing can be evicted: StorageFull, naming the setting.
* A sparse file counts with the bytes that have arrived. Only its process can give it up: `release` does so to make
  room. Processes that share a cache share its limit, but a process always gets room for sparse files up to the limit
  divided by the number of processes; the others shrink when they next need room.
* Each process holds an exclusive lock on its folder under `work`. *A crash leaves that folder; the next process that
  opens the cache acquires its lock and removes it.*
* If another program removes the folder, it is created again; maps of removed files stay valid.
* Copies are not synced. After a power loss they may have holes, so copies from an earlier boot are removed.

Any number of threads and processes may share a folder. Within a process, one thread at a time fills a name.
"""

import errno
import fcntl
import hashlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from afterglow.errors import StorageFull
from afterglow.settings import PREFIX, System
from afterglow.storage.aws.cache_folder import (
    FILES,
    WORK,
    allocate_blocks,
    boot_id,
    create_work_folder,
    files_with_status,
    folders,
    remove_if_unlocked,
    remove_stale,
    remove_work_folder,
    stored_bytes,
)
from afterglow.storage.aws.error_mapping import map_errors
from afterglow.storage.private_folder import make_private

Allocate = Callable[[int], int]
"""Reserves `size` bytes, evicting others, and returns the descriptor of a file of that size to write to."""

_LONGEST_NAME = 200
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full file system."""
_PATIENCE_SECONDS = 2.0
_LOCKS = ("space.lock", "indexer.lock")
_PAUSE_SECONDS = 0.005


class DiskCache:
    """A cache in `folder`, which is created when missing. `limit_bytes` 0: 80 % of its file system."""

    def __init__(self, folder: Path, limit_bytes: int = 0, system: System | None = None) -> None:
        self._folder = folder
        self._system = system = system or System()
        self._files = folder / f"{FILES}{boot_id()}"
        self._lock = threading.Lock()
        self._filling: dict[str, Future[None]] = {}
        self._reserved = 0
        self.release: Callable[[int], bool] = lambda _: False
        """Gives up sparse files of this process with at least so many bytes; False if it has none."""
        with map_errors(f"folder {folder}"):
            self._create_folders()
            remove_stale(folder, self._files, self._work)
            status = os.statvfs(folder)
        self.limit_bytes = limit_bytes or status.f_blocks * status.f_frsize * 4 // 5

    def _create_folders(self) -> None:
        make_private(self._folder, (self._files.name, WORK, *_LOCKS))
        self._files.mkdir(mode=0o700, exist_ok=True)
        self._work, descriptor = create_work_folder(self._folder / WORK, self._system)
        self.close = weakref.finalize(self, remove_work_folder, self._work, descriptor)
        """Remove this process's temporary files; runs automatically at exit."""

    def _restore_folders(self) -> None:
        """Create the folders again if another program has removed them; files in them that are open are given up."""
        if self._work.is_dir():
            return
        with self._lock:
            if not self._work.is_dir():
                self.close()
                self._create_folders()
        self.release(self.limit_bytes)

    def file(self, name: str, fill: Callable[[Allocate], None]) -> Path:
        """Return the copy called `name`; `fill` creates it if it is missing.

        One thread fills it; concurrent callers wait and get the same error if it fails.
        """
        path = self._path(name)
        if self._touch(path):
            return path
        with self._lock:
            concurrent_fill = self._filling.get(name)
            future = self._filling.setdefault(name, Future())
        if concurrent_fill is not None:
            concurrent_fill.result()
            return path
        try:
            if not self._touch(path):
                with map_errors(name):
                    self._fill(path, fill)
            future.set_result(None)
        except BaseException as error:
            future.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._filling[name]
        return path

    def insert(self, name: str, path: Path) -> None:
        """Move a temporary file into the cache as the copy called `name`."""
        with map_errors(name):
            path.replace(self._path(name))
            self._touch(self._path(name))

    def invalidate(self, name: str) -> None:
        """Remove the copy called `name`; memory maps of it stay valid."""
        with map_errors(name):
            self._path(name).unlink(missing_ok=True)

    def open_local(self, name: str, size: int) -> tuple[int, int, Path | None]:
        """A descriptor of the copy called `name`, locked, else of a new sparse file; its size; its path.

        The path is None for a copy, which stays in the cache as long as the descriptor is open.
        """
        path = self._path(name)
        if self._touch(path):
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                status = os.fstat(descriptor)
                if status.st_nlink and status.st_size == size:
                    return descriptor, size, None
                os.close(descriptor)
        self._restore_folders()
        sparse = self._work / self._system.nonce()
        descriptor = os.open(sparse, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(descriptor, size)
        return descriptor, size, sparse

    @contextmanager
    def reservation(self, size: int, *, patient: bool) -> Iterator[None]:
        """Reserve `size` further bytes of sparse files for the block. Raises StorageFull.

        If `patient`, waits for readers that still hold files that were given up.
        """
        deadline = self._system.monotonic() + _PATIENCE_SECONDS
        while not self._try_reserve(size):
            if not patient or size > self.limit_bytes or self._system.monotonic() > deadline:
                raise self._full(size)
            self._system.sleep(_PAUSE_SECONDS)
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= size

    def _try_reserve(self, size: int) -> bool:
        with self._space_lock():
            missing = self._missing(size)
            while missing > 0 and self.release(missing):
                missing = self._missing(size)
            if missing > 0 and not self._is_within_share(size):
                return False
            with self._lock:
                self._reserved += size
            return True

    def _missing(self, size: int) -> int:
        """The bytes that are missing for `size` more after evicting copies; 0 or less: there is room."""
        missing = self.used_bytes() + self._reserved + size - self.limit_bytes
        return missing - sum(self._evict(missing))

    def _is_within_share(self, size: int) -> bool:
        """Whether other processes have taken the room that this one is entitled to."""
        processes = len(list(folders(self._folder / WORK)))
        own = sum(map(stored_bytes, (status for _, status in files_with_status(self._work))))
        return processes > 1 and own + self._reserved + size <= self.limit_bytes // processes

    def free_space(self) -> bool:
        """Evict a copy, or give up a sparse file; False if there is none."""
        with self._space_lock():
            return sum(self._evict(1)) > 0 or self.release(1)

    def temporary_path(self, name: str) -> Path:
        """Return a path for a new file. Evicts copies if temporary files have taken the cache over its limit."""
        with self._space_lock():
            for _ in self._evict(self.used_bytes() - self.limit_bytes):
                pass
        return self._work / name

    def used_bytes(self) -> int:
        """Return the bytes of all files in the cache, without the holes of sparse files."""
        all_folders = [self._files, *folders(self._folder / WORK)]
        return sum(stored_bytes(status) for folder in all_folders for _, status in files_with_status(folder))

    def _path(self, name: str) -> Path:
        flat = quote(name, safe="")
        return self._files / (flat if len(flat) <= _LONGEST_NAME else hashlib.sha256(name.encode()).hexdigest())

    def _touch(self, path: Path) -> bool:
        """Set the access time to now. The modification time stays: readers detect damage by it. False: no such file."""
        try:
            os.utime(path, ns=(int(self._system.now() * 1e9), path.stat().st_mtime_ns))
        except FileNotFoundError:
            return False
        return True

    def _fill(self, path: Path, fill: Callable[[Allocate], None]) -> None:
        temporary, descriptors = self._work / self._system.nonce(), []

        def allocate(size: int) -> int:
            with self._space_lock():
                self._reserve(size)
                descriptors.append(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
                self._allocate(descriptors[0], size)
            return descriptors[0]

        try:
            fill(allocate)
            self._files.mkdir(parents=True, exist_ok=True)
            temporary.rename(path)
            self._touch(path)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _space_lock(self) -> Iterator[None]:
        """Lock out other threads and processes that reserve or free space."""
        with map_errors(f"folder {self._folder}"):
            self._restore_folders()
            descriptor = os.open(self._folder / "space.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _reserve(self, size: int) -> None:
        missing = self._missing(size)
        while missing > 0 and self.release(missing):
            missing = self._missing(size)
        if missing > 0:
            raise self._full(size)

    def _full(self, size: int) -> StorageFull:
        return StorageFull(
            f"no room for {size} bytes in the cache of {self.limit_bytes} bytes, the rest is in use:"
            f" raise {PREFIX}CACHE_MAX_BYTES and the storage behind {self._folder}"
        )

    def _allocate(self, descriptor: int, size: int) -> None:
        """Allocate the space on disk; if other programs have filled the file system, evict copies until it suffices."""
        while True:
            try:
                return allocate_blocks(descriptor, size)
            except OSError as error:
                if error.errno not in NO_SPACE or not (sum(self._evict(1)) or self.release(1)):
                    raise

    def _evict(self, missing: int) -> Iterator[int]:
        """Remove unused copies, least recently used first, until `missing` bytes are free; yield their sizes."""
        if missing <= 0:
            return
        for path, status in sorted(files_with_status(self._files), key=lambda file: file[1].st_atime_ns):
            if remove_if_unlocked(path):
                yield status.st_size
                missing -= status.st_size
            if missing <= 0:
                return
