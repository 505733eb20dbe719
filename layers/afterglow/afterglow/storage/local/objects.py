"""The Objects port over a directory, with one file per object.

A put writes a temporary file, syncs it, links or renames it to the object's key, and syncs the directory. *Crash before
the rename: a file in `.scratch`, which the next process removes (`storage.local.scratch`). After: the object is
complete.* A file never changes once it has its final name, and memory maps of it stay valid after its removal.

Only regular files with UTF-8 names are objects. Links, folders that are links, named pipes and the like below the root
are neither listed nor followed; `list` names them once in the log.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from afterglow.errors import InvalidArgument
from afterglow.settings import System
from afterglow.storage.local.durable_files import map_errors, move_durably, open_regular
from afterglow.storage.local.mapped_object import MappedObject
from afterglow.storage.local.reserve import Reserve
from afterglow.storage.local.scratch import Scratch
from afterglow.storage.ports import Bytes, ConditionFailed, LazyFile, ObjectInfo, ObjectNotFound, Ranges

_TEMPORARY_FOLDER = ".scratch"
_MAX_WARNINGS = 1_000

_log = logging.getLogger(__name__)


class DirectoryObjects:
    """Objects as files under `root`, which is created when missing; with `read_only`, nothing is created.

    `reserve` is the path of the file that holds space for deletions, None: there is none.
    """

    evicts = False

    def __init__(self, root: Path, system: System, *, reserve: Path | None = None, read_only: bool = False) -> None:
        self._root = root
        self._system = system
        self._skipped: set[str] = set()
        self._scratch = Scratch(root / _TEMPORARY_FOLDER, system)
        self._reserve = None if reserve is None else Reserve(reserve)
        if read_only:
            return
        with map_errors(root):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            (root / _TEMPORARY_FOLDER).mkdir(exist_ok=True)

    def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        """Store an object; it is durable when the method returns."""
        path = self._path(key)
        temporary = self.temporary_path(self._system.nonce())
        with map_errors(path):
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                if if_absent:
                    move_durably(path, lambda: os.link(temporary, path))
                    temporary.unlink()
                else:
                    move_durably(path, lambda: temporary.replace(path))
            except FileExistsError:
                temporary.unlink(missing_ok=True)
                raise ConditionFailed(f"object {key} already exists") from None
            except OSError:
                temporary.unlink(missing_ok=True)
                raise

    def temporary_path(self, name: str) -> Path:
        """Return a path for a new file to be passed to `upload`."""
        with map_errors(self._root):
            return self._scratch.path(name)

    def upload(self, key: str, path: Path) -> None:
        """Move the file at `path` to become the object `key`."""
        target = self._path(key)
        with map_errors(target):
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            move_durably(target, lambda: path.replace(target))

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the object's bytes, or a range of them."""
        path = self._path(key)
        with map_errors(path):
            try:
                with open(path, "rb", opener=open_regular) as file:
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
        if path.is_symlink() or not path.is_file():
            raise ObjectNotFound(f"object {key} does not exist")
        return path

    def lazy(self, key: str, size: int) -> MappedObject:
        """Map the object's own file."""
        path = self._path(key)
        with map_errors(path):
            try:
                with open(path, "rb", opener=open_regular) as file:
                    return MappedObject(key, size, path, file)
            except FileNotFoundError:
                raise ObjectNotFound(f"object {key} does not exist") from None

    def need(self, requested: Sequence[tuple[LazyFile, Ranges]]) -> list[Bytes]:
        """The maps of the files, with the ranges verified."""
        arrays = []
        for file, ranges in requested:
            assert isinstance(file, MappedObject)
            arrays.append(file.require(ranges))
        return arrays

    def invalidate(self, key: str) -> bool:
        """Return False: the object's own file is the only copy."""
        del key
        return False

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Iterate over the objects whose key starts with `prefix` and is greater than `after`, in ascending order."""
        objects: list[ObjectInfo] = []
        top = prefix.rpartition("/")[0]
        pending = [self._root / top] if self._is_unlinked(top) else []
        while pending:
            try:
                with os.scandir(pending.pop()) as entries:
                    for entry in entries:
                        if not self._is_skipped(entry):
                            if entry.is_dir(follow_symlinks=False):
                                pending.append(Path(entry.path))
                                continue
                            key = Path(entry.path).relative_to(self._root).as_posix()
                            if key.startswith(prefix) and key > after:
                                status = entry.stat(follow_symlinks=False)
                                age = self._system.now() - status.st_mtime
                                objects.append(ObjectInfo(key, status.st_size, status.st_mtime, age))
            except (FileNotFoundError, NotADirectoryError):
                continue
        yield from sorted(objects, key=lambda info: info.key)

    def _is_unlinked(self, folder: str) -> bool:
        """Whether no folder from the root down to this one is a link."""
        names = folder.split("/")
        return not any(self._root.joinpath(*names[: depth + 1]).is_symlink() for depth in range(len(names)) if folder)

    def _is_skipped(self, entry: os.DirEntry[str]) -> bool:
        if entry.name == _TEMPORARY_FOLDER:
            return True
        is_ours = entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
        if is_ours and _is_utf8(entry.name):
            return False
        if entry.path not in self._skipped and len(self._skipped) < _MAX_WARNINGS:
            self._skipped.add(entry.path)
            _log.warning("%r is skipped: it is not a regular file with a UTF-8 name", os.fsencode(entry.path))
        return True

    def delete(self, key: str) -> None:
        """Remove the object and the folders that become empty."""
        path = self._path(key)
        with map_errors(path):
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
        """Whether the directory has no objects; hidden files of other programs do not count."""
        with map_errors(self._root):
            return not self._root.is_dir() or all(path.name.startswith(".") for path in self._root.iterdir())

    def reserve_space(self) -> None:
        """Make sure that deletions will find space. Raises StorageFull."""
        if self._reserve is not None:
            with map_errors(self._root):
                self._reserve.ensure()

    def release_space(self) -> bool:
        """Give up the space reserved for deletions; whether there was any."""
        with map_errors(self._root):
            return self._reserve is not None and self._reserve.release()

    def remove_abandoned_files(self) -> None:
        """Remove the temporary files of processes that have ended."""
        with map_errors(self._root):
            self._scratch.remove_abandoned()

    def _path(self, key: str) -> Path:
        if not key or any(name in ("", ".", "..", _TEMPORARY_FOLDER) for name in key.split("/")):
            raise InvalidArgument(f"not an object key: {key!r}")
        return self._root / key


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
