"""Copies of objects on the local disk, at most so many bytes of them; the ones used least recently make room.

Its folder holds::

    files-<boot>/<name>     whole copies; their access time says when they were last used
    work/<nonce>/…          what one process is writing: downloads, and scratch files to be uploaded

* A copy appears by a rename, so a name that is there is whole. Its bytes, size and modification time never change.
* Whoever maps a copy holds a shared `flock` on it. Only a file whose exclusive lock is free is removed to make room, so
  a file in use stays; between `file` and the lock it may go, and the reader asks again.
* Space is taken before the first byte of a download arrives, so two downloads never count on the same room. Nothing
  left that could be removed: StorageFull, naming the setting.
* Each process holds an exclusive lock on its folder under `work`. *A crash leaves that folder; the next process to open
  the cache gets its lock and removes it.*
* Copies are not synced. A machine that lost power may have holes in them, so copies of an earlier boot are removed.

Any number of threads and processes may share a folder. In one process each name is filled by one thread at a time.
"""

import errno
import fcntl
import hashlib
import os
import shutil
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
"""Takes the size of what comes, makes room, and gives a file descriptor with that many bytes to write to."""

_FILES, _WORK = "files-", "work"
_LONGEST_NAME = 200
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class DiskCache:
    """A cache in `folder`, which is created when missing. `limit_bytes` 0: four fifths of the file system it is on."""

    def __init__(self, folder: Path, limit_bytes: int = 0, system: System | None = None) -> None:
        self._folder = folder
        self._system = system = system or System()
        self._files = folder / f"{_FILES}{_boot()}"
        self._lock = threading.Lock()
        self._filling: dict[str, Future[None]] = {}
        with map_errors(f"folder {folder}"):
            self._files.mkdir(parents=True, exist_ok=True)
            self._work, descriptor = _own_folder(folder / _WORK, system)
            _sweep(folder, self._files, self._work)
            status = os.statvfs(folder)
        self.limit_bytes = limit_bytes or status.f_blocks * status.f_frsize * 4 // 5
        self.close = weakref.finalize(self, _leave, self._work, descriptor)
        """Remove what this process was writing; happens at its end by itself."""

    def file(self, name: str, fill: Callable[[Allocate], None]) -> Path:
        """The copy called `name`, made by `fill` where it is not there yet.

        One thread fills it; the others wait, and hear of its failure too.
        """
        path = self._path(name)
        if self._touch(path):
            return path
        with self._lock:
            others = self._filling.get(name)
            mine = self._filling.setdefault(name, Future())
        if others is not None:
            others.result()
            return path
        try:
            if not self._touch(path):
                with map_errors(name):
                    self._fill(path, fill)
            mine.set_result(None)
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._filling[name]
        return path

    def insert(self, name: str, path: Path) -> None:
        """Make a scratch file the copy called `name`."""
        with map_errors(name):
            path.replace(self._path(name))
            self._touch(self._path(name))

    def invalidate(self, name: str) -> None:
        """Forget the copy called `name`; maps of it live on."""
        with map_errors(name):
            self._path(name).unlink(missing_ok=True)

    def scratch(self, name: str) -> Path:
        """A path to write a file to. What was written so far counts, so copies make room where it is too much."""
        with self._space_lock():
            for _ in self._evict(self.used_bytes() - self.limit_bytes):
                pass
        return self._work / name

    def used_bytes(self) -> int:
        """Bytes of everything in the cache."""
        works = [_within(each) for each in _folders(self._folder / _WORK)]
        return sum(status.st_size for found in (_within(self._files), *works) for _, status in found)

    def _path(self, name: str) -> Path:
        flat = quote(name, safe="")
        return self._files / (flat if len(flat) <= _LONGEST_NAME else hashlib.sha256(name.encode()).hexdigest())

    def _touch(self, path: Path) -> bool:
        """Whether it is there; if so, it was used now. The modification time stays: readers look for damage by it."""
        try:
            os.utime(path, ns=(int(self._system.now() * 1e9), path.stat().st_mtime_ns))
        except FileNotFoundError:
            return False
        return True

    def _fill(self, path: Path, fill: Callable[[Allocate], None]) -> None:
        temporary, descriptors = self._work / self._system.nonce(), []

        def begin(size: int) -> int:
            with self._space_lock():
                self._reserve(size)
                descriptors.append(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
                self._allocate(descriptors[0], size)
            return descriptors[0]

        try:
            fill(begin)
            self._files.mkdir(parents=True, exist_ok=True)
            temporary.rename(path)
            self._touch(path)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _space_lock(self) -> Iterator[None]:
        """Nobody else, here or in another process, takes room meanwhile."""
        with map_errors(f"folder {self._folder}"):
            descriptor = os.open(self._folder / "room", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _reserve(self, size: int) -> None:
        missing = self.used_bytes() + size - self.limit_bytes
        if missing > sum(self._evict(missing)) and missing > 0:
            raise StorageFull(
                f"no room for {size} bytes among the {self.limit_bytes} of the cache, the rest is in use:"
                f" raise {PREFIX}CACHE_MAX_BYTES and the storage behind {self._folder}"
            )

    def _allocate(self, descriptor: int, size: int) -> None:
        """Take the space now; where others have filled the file system, copies go until it is enough."""
        while True:
            try:
                return _allocated(descriptor, size)
            except OSError as error:
                if error.errno not in _NO_SPACE or not sum(self._evict(1)):
                    raise

    def _evict(self, missing: int) -> Iterator[int]:
        """Removes copies that nobody uses, the least recently used first, until so many bytes are free; their sizes."""
        if missing <= 0:
            return
        for path, status in sorted(_within(self._files), key=lambda found: found[1].st_atime_ns):
            if _removed(path):
                yield status.st_size
                missing -= status.st_size
            if missing <= 0:
                return


def _boot() -> str:
    """What tells this start of the machine from others, where the system says it."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "any"


def _own_folder(parent: Path, system: System) -> tuple[Path, int]:
    """A new folder, locked as this process's own, and the descriptor that holds the lock."""
    parent.mkdir(exist_ok=True)
    while True:
        path = parent / system.nonce()
        path.mkdir()
        with suppress(FileNotFoundError):  # another process took it for a crashed one's, before it was locked
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_ino in [each.inode() for each in os.scandir(parent)]:
                return path, descriptor
            os.close(descriptor)


def _leave(path: Path, descriptor: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(descriptor)


def _sweep(folder: Path, files: Path, work: Path) -> None:
    """Remove the folders of crashed processes, and copies of an earlier boot."""
    for path in folder.glob(f"{_FILES}*"):
        if path != files:
            shutil.rmtree(path, ignore_errors=True)
    for path in _folders(folder / _WORK):
        if path != work:
            with suppress(FileNotFoundError):
                _removed(path)


def _removed(path: Path) -> bool:
    """Remove a file or folder that nobody has locked; whether it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
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
    return [path for path in parent.iterdir() if path.is_dir()]


def _within(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files of a folder with what the file system says of them."""
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                yield path, path.stat()


def _allocated(descriptor: int, size: int) -> None:
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
