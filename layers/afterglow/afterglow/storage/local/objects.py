"""The Objects port over a directory: one file an object.

An object is written under a temporary name, synced, then linked or renamed to its key, and the directory is synced: a
crash before the rename leaves a file in `.scratch`, which the janitor removes; after it the object is whole. A file
never changes once it has its name, and removing it leaves maps of it intact.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from afterglow.errors import InvalidArgument, StorageFull, Unavailable
from afterglow.settings import System
from afterglow.storage.ports import ConditionFailed, ObjectInfo, ObjectNotFound

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_SCRATCH = ".scratch"
_ATTEMPTS = 100


class DirectoryObjects:
    """Objects as files under `root`, which is created when missing."""

    def __init__(self, root: Path, system: System) -> None:
        self._root = root
        self._system = system
        with _translated(root):
            (root / _SCRATCH).mkdir(parents=True, exist_ok=True)

    def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        """Store an object; durable when it returns."""
        path = self._path(key)
        scratch = self.temporary_path(self._system.nonce())
        with _translated(path):
            try:
                with scratch.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                if if_absent:
                    _move_durably(path, lambda: os.link(scratch, path))
                    scratch.unlink()
                else:
                    _move_durably(path, lambda: scratch.replace(path))
            except FileExistsError:
                scratch.unlink(missing_ok=True)
                raise ConditionFailed(f"object {key} is already there") from None
            except OSError:
                scratch.unlink(missing_ok=True)
                raise

    def temporary_path(self, name: str) -> Path:
        """A path to write an object's file to before `upload`."""
        return self._root / _SCRATCH / name

    def upload(self, key: str, path: Path) -> None:
        """Make the file at `path` the object `key`; the file is consumed."""
        target = self._path(key)
        with _translated(target):
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            _move_durably(target, lambda: path.replace(target))

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes, or a range of them."""
        path = self._path(key)
        with _translated(path):
            try:
                with path.open("rb") as file:
                    file.seek(start)
                    return file.read() if length is None else file.read(length)
            except FileNotFoundError:
                raise ObjectNotFound(f"object {key} is not there") from None

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes of each object, None where there is none."""
        return [self._get_or_none(key) for key in keys]

    def _get_or_none(self, key: str) -> bytes | None:
        try:
            return self.get(key)
        except ObjectNotFound:
            return None

    def prefetch(self, keys: Sequence[str]) -> None:
        """Nothing to do: the objects are files."""

    def local_path(self, key: str) -> Path:
        """The file itself: it never changes."""
        path = self._path(key)
        if not path.is_file():
            raise ObjectNotFound(f"object {key} is not there")
        return path

    def invalidate(self, key: str) -> bool:
        """There is no other than the file itself."""
        del key
        return False

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, ascending by key."""
        folder = self._root / prefix.rpartition("/")[0]
        found: list[ObjectInfo] = []
        for directory, folders, names in os.walk(folder):
            folders[:] = [each for each in folders if each != _SCRATCH]
            for name in names:
                path = Path(directory, name)
                key = path.relative_to(self._root).as_posix()
                if not key.startswith(prefix):
                    continue
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue
                found.append(ObjectInfo(key, status.st_size, status.st_mtime))
        yield from sorted(found, key=lambda info: info.key)

    def delete(self, key: str) -> None:
        """Remove the object, and the folders that it leaves empty."""
        path = self._path(key)
        with _translated(path):
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove the objects, one after another."""
        for key in keys:
            self.delete(key)

    def is_empty(self) -> bool:
        """Whether no object was ever written here, or every one was deleted."""
        with _translated(self._root):
            return all(path.name == _SCRATCH for path in self._root.iterdir())

    def remove_stale_temporary_files(self, older_than: float) -> None:
        """Remove leftovers of crashed writes that were last touched before `older_than` (unix seconds)."""
        for path in (self._root / _SCRATCH).iterdir():
            try:
                if path.stat().st_mtime < older_than:
                    path.unlink()
            except FileNotFoundError:
                continue

    def _path(self, key: str) -> Path:
        if not key or any(part in ("", ".", "..", _SCRATCH) for part in key.split("/")):
            raise InvalidArgument(f"not an object key: {key!r}")
        return self._root / key


def _move_durably(path: Path, move: Callable[[], object]) -> None:
    """Make the folder of `path`, `move` the file there, sync the folder.

    A `delete` beside this takes away a folder that it left empty: then all begins anew. Where the folder is gone after
    the move, so is the object, and there is nothing to sync.
    """
    for attempt in range(_ATTEMPTS):
        try:
            _make_parents(path)
            move()
            break
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
    with suppress(FileNotFoundError):
        _sync_directory(path.parent)


def _make_parents(path: Path) -> None:
    missing = []
    folder = path.parent
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        with suppress(FileExistsError):
            each.mkdir()
        _sync_directory(each.parent)


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"no space left to write {path.name}: {error.strerror}") from error
        raise Unavailable(f"{path.name} cannot be used: {error.strerror}") from error
