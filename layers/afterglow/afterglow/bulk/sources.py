"""The location of a file: on a disk, or in a bucket. Both are read by byte ranges, and may be replaced meanwhile.

`version` changes when the file does. Copies are never cached under the file's name: the library's own objects never
change under a key, but uploaded files may.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from afterglow.bulk.types import ImportRejected
from afterglow.settings import System
from afterglow.storage.ports import ObjectNotFound, Objects

CHUNK_BYTES = 4 * 1024 * 1024

Span = tuple[int, int]
"""Offset and length of some bytes."""


class Source(Protocol):
    """A file of `size` bytes."""

    @property
    def key(self) -> str:
        """The path or the key of the object."""

    @property
    def name(self) -> str:
        """The name in reports and in the generated ids of rows without one."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def version(self) -> str:
        """A value that differs after the file is replaced."""

    def read(self, start: int, length: int) -> bytes:
        """Some bytes; fewer at the end of the file. Raises ImportRejected if the file is gone."""

    def sibling(self, name: str) -> "Source | None":
        """The file with this name in the same folder, None if there is none."""

    def reload(self) -> "Source | None":
        """The file as it is now, None if it is gone."""

    def local_copy(self, spans: Sequence[Span]) -> AbstractContextManager[Path]:
        """A path of a file with the bytes of `spans` at their offsets; other bytes may be zero."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file on a disk; `name` is relative to the folder that is imported."""

    path: Path
    name: str
    size: int
    modified: int
    """Nanoseconds."""

    @property
    def key(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def version(self) -> str:
        """Size and time of the last change."""
        return f"{self.size}-{self.modified}"

    def read(self, start: int, length: int) -> bytes:
        """Some bytes."""
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(length)
        except FileNotFoundError:
            raise ImportRejected(f"{self.name} is gone") from None

    def sibling(self, name: str) -> Source | None:
        """The file with this name in the same folder."""
        return file_source(self.path.with_name(name), str(Path(self.name).with_name(name)))

    def reload(self) -> Source | None:
        """The file as it is now."""
        return file_source(self.path, self.name)

    @contextmanager
    def local_copy(self, spans: Sequence[Span]) -> Iterator[Path]:
        """The file itself."""
        del spans
        yield self.path


def file_source(path: Path, name: str | None = None) -> FileSource | None:
    """The file at `path`, None if there is none."""
    try:
        status = path.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return None
        raise
    return FileSource(path.absolute(), name or path.name, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """An object of a bucket; `root` is the prefix of its key that is not part of its name."""

    objects: Objects
    system: System
    key: str
    root: str
    size: int
    version: str

    @property
    def name(self) -> str:
        """The key without the root."""
        return self.key.removeprefix(self.root)

    def read(self, start: int, length: int) -> bytes:
        """Some bytes."""
        try:
            return self.objects.get(self.key, start, length) if length and start < self.size else b""
        except ObjectNotFound:
            raise ImportRejected(f"{self.name} is gone") from None

    def sibling(self, name: str) -> Source | None:
        """The object with this name below the same prefix."""
        return object_source(self.objects, self.system, f"{self.key.rpartition('/')[0]}/{name}", self.root)

    def reload(self) -> Source | None:
        """The object as it is now."""
        return object_source(self.objects, self.system, self.key, self.root)

    @contextmanager
    def local_copy(self, spans: Sequence[Span]) -> Iterator[Path]:
        """A sparse copy of the object."""
        path = self.objects.temporary_path(f"import-{self.system.nonce()}")
        try:
            with path.open("xb") as file:
                file.truncate(self.size)
                for start, length in spans:
                    for offset in range(start, start + length, CHUNK_BYTES):
                        os.pwrite(file.fileno(), self.read(offset, min(CHUNK_BYTES, start + length - offset)), offset)
            yield path
        finally:
            path.unlink(missing_ok=True)


def object_source(objects: Objects, system: System, key: str, root: str) -> ObjectSource | None:
    """The object with `key`, None if there is none."""
    info = next(objects.list(key), None)  # of all keys with this prefix, the key itself comes first
    if info is None or info.key != key:
        return None
    return ObjectSource(objects, system, key, root, info.size, f"{info.size}-{info.modified}")


def require_unchanged(source: Source, version: str) -> None:
    """Raises ImportRejected if the file is gone or no longer of this version."""
    current = source.reload()
    if current is None or current.version != version:
        change = "removed" if current is None else "replaced"
        raise ImportRejected(f"{source.name} was {change} while it was imported")
