"""A size-limited LRU cache of objects on the local disk.

Its folder contains::

    files-<boot>/<name>     complete copies; their access time is the time of last use
    work/<nonce>/…          temporary files of one process: downloads, and files to be uploaded

* A copy appears by a rename, so an existing name is complete. Its bytes, size and modification time never change.
* A reader that maps a copy holds a shared `flock` on it. Eviction removes only files whose exclusive lock is free, so a
  file in use stays. Between `file` and the lock it may be evicted; the reader then requests it again.
* Space is reserved before the first byte of a download arrives, so two downloads never reserve the same space. When
  nothing can be evicted: StorageFull, naming the setting.
* Each process holds an exclusive lock on its folder under `work`. *A crash leaves that folder; the next process that
  opens the cache acquires its lock and removes it.*
* Copies are not synced. After a power loss they may have holes, so copies from an earlier boot are removed.

Any number of threads and processes may share a folder. Within a process, one thread at a time fills a name.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from afterglow.errors import StorageFull
from afterglow.settings import PREFIX, System
from afterglow.storage.aws.error_mapping import map_errors

Allocate = Callable[[int], int]
"""Reserves `size` bytes, evicting others, and returns the descriptor of a file of that size to write to."""

_FILES, _WORK = "files-", "work"
_LONGEST_NAME = 200
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class DiskCache:
    """A cache in `folder`, which is created when missing. `limit_bytes` 0: 80 % of its file system."""

    def __init__(self, folder: Path, limit_bytes: int = 0, system: System | None = None) -> None:
        self._folder = folder
        self._system = system = system or System()
        self._files = folder / f"{_FILES}{_boot()}"
        self._lock = threading.Lock()
        self._filling: dict[str, Future[None]] = {}
        with map_errors(f"folder {folder}"):
            self._files.mkdir(parents=True, exist_ok=True)
            self._work, descriptor = _create_work_folder(folder / _WORK, system)
            _remove_stale(folder, self._files, self._work)
            status = os.statvfs(folder)
        self.limit_bytes = limit_bytes or status.f_blocks * status.f_frsize * 4 // 5
        self.close = weakref.finalize(self, _remove_work_folder, self._work, descriptor)
        """Remove this process's temporary files; runs automatically at exit."""

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

    def temporary_path(self, name: str) -> Path:
        """Return a path for a new file. Evicts copies if temporary files have taken the cache over its limit."""
        with self._space_lock():
            for _ in self._evict(self.used_bytes() - self.limit_bytes):
                pass
        return self._work / name

    def used_bytes(self) -> int:
        """Return the bytes of all files in the cache."""
        folders = [self._files, *_folders(self._folder / _WORK)]
        return sum(status.st_size for folder in folders for _, status in _files_with_status(folder))

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
            descriptor = os.open(self._folder / "space.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _reserve(self, size: int) -> None:
        missing = self.used_bytes() + size - self.limit_bytes
        if missing > sum(self._evict(missing)) and missing > 0:
            raise StorageFull(
                f"no room for {size} bytes in the cache of {self.limit_bytes} bytes, the rest is in use:"
                f" raise {PREFIX}CACHE_MAX_BYTES and the storage behind {self._folder}"
            )

    def _allocate(self, descriptor: int, size: int) -> None:
        """Allocate the space on disk; if other programs have filled the file system, evict copies until it suffices."""
        while True:
            try:
                return _allocate_blocks(descriptor, size)
            except OSError as error:
                if error.errno not in _NO_SPACE or not sum(self._evict(1)):
                    raise

    def _evict(self, missing: int) -> Iterator[int]:
        """Remove unused copies, least recently used first, until `missing` bytes are free; yield their sizes."""
        if missing <= 0:
            return
        for path, status in sorted(_files_with_status(self._files), key=lambda file: file[1].st_atime_ns):
            if _remove_if_unlocked(path):
                yield status.st_size
                missing -= status.st_size
            if missing <= 0:
                return


def _boot() -> str:
    """Return the id of this boot of the machine, if the system has one."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "any"


def _create_work_folder(parent: Path, system: System) -> tuple[Path, int]:
    """Create and lock a folder for this process; return it and the descriptor that holds the lock."""
    parent.mkdir(exist_ok=True)
    while True:
        path = parent / system.nonce()
        path.mkdir()
        with suppress(FileNotFoundError):  # another process removed it as stale before it was locked
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_ino in [entry.inode() for entry in os.scandir(parent)]:
                return path, descriptor
            os.close(descriptor)


def _remove_work_folder(path: Path, descriptor: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(descriptor)


def _remove_stale(folder: Path, files: Path, work: Path) -> None:
    """Remove the folders of crashed processes and the copies of earlier boots."""
    for path in _folders(folder):
        if path.name.startswith(_FILES) and path != files:
            shutil.rmtree(path, ignore_errors=True)
    for path in _folders(folder / _WORK):
        if path != work:
            with suppress(FileNotFoundError):
                _remove_if_unlocked(path)


def _remove_if_unlocked(path: Path) -> bool:
    """Remove a file or folder unless another process has locked it; return whether it was removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, or a socket
            return False
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)


def _folders(parent: Path) -> list[Path]:
    """The folders in `parent`, without links to folders."""
    with os.scandir(parent) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _files_with_status(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Iterate over the regular files of a folder with their `stat` results; links, also to folders, are skipped."""
    if folder.is_symlink():
        return
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    yield path, status


def _allocate_blocks(descriptor: int, size: int) -> None:
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
