"""Where a file is: on a disk, or in a bucket. Either is read by ranges, and may be replaced while it is read.

`version` changes when the file does. Nothing here keeps a copy under the file's name: objects of the library never
change under a key, those that somebody drops may.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from afterglow.bulk.types import ImportRejected
from afterglow.settings import System
from afterglow.storage.ports import ObjectNotFound, Objects

CHUNK_BYTES = 4 * 1024 * 1024
_MOST_FOOTER = 256 * 1024 * 1024

Span = tuple[int, int]
"""Offset and length of some bytes."""


class Source(Protocol):
    """A file of `size` bytes."""

    @property
    def key(self) -> str:
        """Where it is: what `again` finds it by."""

    @property
    def name(self) -> str:
        """What it is called, in receipts and in the ids of rows that have none."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def version(self) -> str:
        """Differs from that of a file which replaces it."""

    def read(self, start: int, length: int) -> bytes:
        """Some bytes; fewer where the file ends. Raises Refused where it is gone."""

    def sibling(self, name: str) -> "Source | None":
        """The file of this name in the same place, if there is one."""

    def reload(self) -> "Source | None":
        """The file as it is now, None where it is gone."""

    def local_copy(self, spans: Sequence[Span]) -> AbstractContextManager[Path]:
        """A path under which the bytes of `spans` are, at their offsets; what lies between may be zeros."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file on a disk; `name` is relative to what was given for import."""

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
        """The file of this name in the same folder."""
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
    """The file at `path`, if there is one."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileSource(path.absolute(), name or path.name, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """An object of a bucket; `root` is the part of its key that is not its name."""

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
        """The object of this name below the same prefix."""
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
                    for at in range(start, start + length, CHUNK_BYTES):
                        os.pwrite(file.fileno(), self.read(at, min(CHUNK_BYTES, start + length - at)), at)
            yield path
        finally:
            path.unlink(missing_ok=True)


def object_source(objects: Objects, system: System, key: str, root: str) -> ObjectSource | None:
    """The object under `key`, if there is one."""
    found = next(objects.list(key), None)  # of all keys that begin with it, the key itself comes first
    if found is None or found.key != key:
        return None
    return ObjectSource(objects, system, key, root, found.size, f"{found.size}-{found.modified}")


def parquet_footer(source: Source) -> Span:
    """Where the footer of a Parquet file is, its magic included. Raises Refused where it has none."""
    tail = source.read(max(source.size - 8, 0), 8)
    if len(tail) < 8 or tail[4:] != b"PAR1" or source.size < 12:
        raise ImportRejected(f"{source.name} is no whole Parquet file: it does not end as one does")
    (length,) = struct.unpack("<I", tail[:4])
    if length > min(source.size - 12, _MOST_FOOTER):
        raise ImportRejected(f"{source.name} is damaged: its footer would have {length} bytes")
    return source.size - 8 - length, length + 8
