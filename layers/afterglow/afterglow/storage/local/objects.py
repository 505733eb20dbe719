"""The Objects port over a directory, with one file per object.

A put writes a temporary file, syncs it, links or renames it to the object's key, and syncs the directory. *Crash before
the rename: a file in `.scratch`, which the maintenance job removes. After: the object is complete.* A file never
changes once it has its final name, and memory maps of it stay valid after its removal.
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
_TEMPORARY_FOLDER = ".scratch"
_ATTEMPTS = 100


class DirectoryObjects:
    """Objects as files under `root`, which is created when missing."""

    def __init__(self, root: Path, system: System) -> None:
        self._root = root
        self._system = system
        with _map_errors(root):
            (root / _TEMPORARY_FOLDER).mkdir(parents=True, exist_ok=True)

    def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        """Store an object; it is durable when the method returns."""
        path = self._path(key)
        temporary = self.temporary_path(self._system.nonce())
        with _map_errors(path):
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                if if_absent:
                    _move_durably(path, lambda: os.link(temporary, path))
                    temporary.unlink()
                else:
                    _move_durably(path, lambda: temporary.replace(path))
            except FileExistsError:
                temporary.unlink(missing_ok=True)
                raise ConditionFailed(f"object {key} already exists") from None
            except OSError:
                temporary.unlink(missing_ok=True)
                raise

    def temporary_path(self, name: str) -> Path:
        """Return a path for a new file to be passed to `upload`."""
        return self._root / _TEMPORARY_FOLDER / name

    def upload(self, key: str, path: Path) -> None:
        """Move the file at `path` to become the object `key`."""
        target = self._path(key)
        with _map_errors(target):
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            _move_durably(target, lambda: path.replace(target))

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the object's bytes, or a range of them."""
        path = self._path(key)
        with _map_errors(path):
            try:
                with path.open("rb") as file:
                    file.seek(start)
                    return file.read() if length is None else file.read(length)
            except FileNotFoundError:
                raise ObjectNotFound(f"object {key} does not exist") from None

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the bytes of each object, None for a missing one."""
        return [self._get_or_none(key) for key in keys]

    def _get_or_none(self, key: str) -> bytes | None:
        try:
            return self.get(key)
        except ObjectNotFound:
            return None

    def prefetch(self, keys: Sequence[str]) -> None:
        """Do nothing: the objects are local files."""

    def local_path(self, key: str) -> Path:
        """Return the object's own file, which never changes."""
        path = self._path(key)
        if not path.is_file():
            raise ObjectNotFound(f"object {key} does not exist")
        return path

    def invalidate(self, key: str) -> bool:
        """Return False: the object's own file is the only copy."""
        del key
        return False

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Iterate over the objects whose key starts with `prefix`, in ascending order of key."""
        folder = self._root / prefix.rpartition("/")[0]
        objects: list[ObjectInfo] = []
        for directory, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name != _TEMPORARY_FOLDER]
            for name in names:
                path = Path(directory, name)
                key = path.relative_to(self._root).as_posix()
                if not key.startswith(prefix):
                    continue
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue
                objects.append(ObjectInfo(key, status.st_size, status.st_mtime))
        yield from sorted(objects, key=lambda info: info.key)

    def delete(self, key: str) -> None:
        """Remove the object and the folders that become empty."""
        path = self._path(key)
        with _map_errors(path):
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove the objects one by one."""
        for key in keys:
            self.delete(key)

    def is_empty(self) -> bool:
        """Whether the directory has no objects."""
        with _map_errors(self._root):
            return all(path.name == _TEMPORARY_FOLDER for path in self._root.iterdir())

    def remove_stale_temporary_files(self, older_than: float) -> None:
        """Remove temporary files of crashed writes that were last modified before `older_than` (Unix seconds)."""
        for path in (self._root / _TEMPORARY_FOLDER).iterdir():
            try:
                if path.stat().st_mtime < older_than:
                    path.unlink()
            except FileNotFoundError:
                continue

    def _path(self, key: str) -> Path:
        if not key or any(name in ("", ".", "..", _TEMPORARY_FOLDER) for name in key.split("/")):
            raise InvalidArgument(f"not an object key: {key!r}")
        return self._root / key


def _move_durably(path: Path, move: Callable[[], object]) -> None:
    """Create the folder of `path`, `move` the file there, sync the folder.

    A concurrent `delete` removes a folder that it leaves empty: then all steps are repeated. If the folder is missing
    after the move, the object has been deleted and there is nothing to sync.
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
    for folder in reversed(missing):
        with suppress(FileExistsError):
            folder.mkdir()
        _sync_directory(folder.parent)


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _map_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"no space left to write {path.name}: {error.strerror}") from error
        raise Unavailable(f"{path.name} cannot be read or written: {error.strerror}") from error
