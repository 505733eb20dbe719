"""The three storage ports and the guarantees of their adapters (DynamoDB, S3, SQS; SQLite, a directory, a thread).

Table: small items with the key (`pk`, `sk`), strongly consistent.

* `put` is atomic, and durable when it returns; the conditions `if_absent` and `if_version` are checked atomically with
  it.
* `query` returns every put that had returned before the query started, in ascending bytewise order of `sk`.
* `transact` applies all of its writes or none; a concurrent query may see some of them before others.

Objects: immutable data with a string key.

* `put` and `upload` are atomic, and durable when they return: a reader gets the complete object or none.
* `local_path` returns a file whose bytes never change; memory maps of it stay valid after the object's deletion.
* `lazy` and `need` read byte ranges of an object: `need` brings in what is missing of any number of files in one round
  of parallel requests. A range with a checksum is verified before `need` returns; bytes that are damaged, short or
  late, or of a replaced object, are never returned. Bytes that were not needed are undefined (0xFF under test).

Queue: messages that point to work, delivered at least once and in order within a group. A lost message delays the work
but loses no data: the next writer or the maintenance job sends it again. Every adapter passes `tests/contract`.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from afterglow.errors import AfterglowError, Unavailable
from afterglow.settings import Settings, System
from afterglow.storage.builds import Builds


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the table. `version` is 1 when the item is created and grows by 1 with each put."""

    pk: str
    sk: str
    value: bytes
    version: int
    expires_at: int | None = None
    """Unix seconds; from then on the maintenance job (or DynamoDB's TTL) may remove the item."""


class ConditionFailed(AfterglowError):
    """The condition of a write to the item `key` (pk, sk) does not hold; `existing` is that item, if there is one."""

    def __init__(self, message: str, existing: Item | None = None, key: tuple[str, str] | None = None) -> None:
        super().__init__(message)
        self.existing = existing
        self.key = key


class ObjectNotFound(AfterglowError):
    """No object has this key."""


class TooManyOpenFiles(Unavailable):
    """The process is at its limit of open files; closing collections may free some."""


@contextmanager
def require_descriptor(name: str) -> Iterator[None]:
    """Turn the system's error for a missing descriptor into TooManyOpenFiles; `name` is what was to be opened."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise TooManyOpenFiles(f"{name} cannot be opened: the limit of open files is reached") from error
        raise


@dataclass(frozen=True, slots=True)
class Put:
    """A put of a transaction or batch, with at most one of the two conditions."""

    pk: str
    sk: str
    value: bytes
    if_absent: bool = False
    if_version: int | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """A delete of a transaction."""

    pk: str
    sk: str
    if_version: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A condition of a transaction, on an item that it does not write: it exists, in this version, or it does not."""

    pk: str
    sk: str
    if_version: int | None = None
    if_absent: bool = False


Write = Put | Delete | Check


class Table(Protocol):
    """Strongly consistent key-value store of small items (see the module's docstring)."""

    @property
    def has_cheap_transactions(self) -> bool:
        """Whether a transaction costs no more than a put, so that every append can be one (`log`)."""

    def time(self) -> float | None:
        """Unix seconds by the store's own clock, carried on since its last response; None without these."""

    def change_marker(self) -> object:
        """Equal to an earlier one of the same thread only if nothing was written in between; None: unknown.

        It costs a fraction of a read.
        """

    def get(self, pk: str, sk: str) -> Item | None:
        """Return the item, or None."""

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Item | None]:
        """Return the items in the order of `keys`, None for a missing one. Not one atomic read."""

    def put(
        self,
        pk: str,
        sk: str,
        value: bytes,
        *,
        if_absent: bool = False,
        if_version: int | None = None,
        expires_at: int | None = None,
    ) -> int:
        """Write the item and return its new version. Raises ConditionFailed, Unavailable, StorageFull."""

    def put_many(self, puts: Sequence[Put]) -> None:
        """Put all items unconditionally in as few round trips as the store allows; a crash may leave any of them out.

        Versions after it are unspecified: do not use it for items that are also put with `if_version`.
        """

    def query(
        self, pk: str, *, after: str = "", before: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> list[Item]:
        """Return at most `limit` items of `pk` with `after` < sk < `before`, ascending; with `reverse`, descending."""

    def delete(self, pk: str, sk: str, *, if_version: int | None = None) -> None:
        """Remove the item. Without a condition, a missing item is no error. Raises ConditionFailed."""

    def transact(self, writes: Sequence[Write]) -> None:
        """Apply all of `writes` or none (at most 100, with distinct keys).

        Raises ConditionFailed for the first of them whose condition fails.
        """

    def scrub(self) -> bool:
        """Overwrite what deleted and replaced items have left in files of this machine; False: a part of it is left."""

    def close(self) -> None:
        """Close connections."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object's entry in a listing."""

    key: str
    size: int
    modified: float
    """Unix seconds."""
    age: float
    """Seconds since then; of a remote store by its own clock."""


Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Ranges:
    """Byte ranges of one file: `offsets` and `lengths`, int64, shape (n,), in any order; they may overlap.

    `checksums` are the xxh3-64 of each range's bytes, uint64, shape (n,) (`storage.range_checks`); None for data that
    the caller verifies itself. A caller that finds such data damaged calls `Objects.invalidate` and asks once more.
    """

    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    checksums: NDArray[np.uint64] | None = None


class LazyFile(Protocol):
    """A file of which parts are local. Made by `Objects.lazy`, read through `Objects.need`; cheap to keep open."""

    @property
    def key(self) -> str:
        """The object's key."""

    @property
    def size(self) -> int:
        """The object's size in bytes."""


class Objects(Protocol):
    """Store of immutable objects (see the module's docstring)."""

    @property
    def evicts(self) -> bool:
        """Whether the files of `local_path` are copies that may be evicted, unless a reader holds a lock on them."""

    def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        """Store a small object. Raises ConditionFailed when `if_absent` is set and the key exists."""

    def temporary_path(self, name: str) -> Path:
        """Return a path for a new file to be passed to `upload`, on a file system from which that is cheap."""

    def upload(self, key: str, path: Path) -> None:
        """Store the file at `path` (from `temporary_path`) as the object `key`; the file is moved or removed."""

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the object's bytes, or `length` of them from `start`. Raises ObjectNotFound."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the bytes of each object, None for a missing one. Remote stores are read in parallel."""

    def prefetch(self, keys: Sequence[str]) -> None:
        """Download these objects in parallel if the store is remote; a missing one is no error."""

    def local_path(self, key: str) -> Path:
        """Return a local file with the object's bytes, downloaded first if the store is remote. Raises ObjectNotFound.

        A downloaded file may be evicted at any time unless the reader holds a shared lock (`flock`) on it.
        """

    def lazy(self, key: str, size: int) -> LazyFile:
        """Open the object, known to have `size` bytes, for `need`. A remote store sends no request.

        A local store raises ObjectNotFound and Corrupt (another size) here, a remote one in `need`.
        """

    def need(self, requested: Sequence[tuple[LazyFile, Ranges]]) -> list[Bytes]:
        """The bytes of each file, uint8, shape (size,), read-only, in which its ranges are present and verified.

        One round of parallel requests, none if everything is local. An array stays valid as long as it is referenced;
        a later `need` of the same file may return another array, in which only its own ranges are certain. So keep the
        arrays of a query, and nothing of them beyond it. The ranges of all files together must fit in the cache.
        Raises ObjectNotFound, Corrupt, StorageFull, Unavailable.
        """

    def reserve_space(self) -> None:
        """Make sure that deletions will find space; to be called before an ordinary write. Raises StorageFull."""

    def release_space(self) -> bool:
        """Give up the space reserved for deletions; whether there was any. False for stores that never fill up."""

    def invalidate(self, key: str) -> bool:
        """Discard a damaged local copy. Return whether a new download can help: False for local stores."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Iterate over the objects whose key starts with `prefix` and is greater than `after`, in ascending order."""

    def delete(self, key: str) -> None:
        """Remove the object; a missing one is no error."""

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove the objects in as few round trips as the store allows; a crash may leave any of them."""


class Queue(Protocol):
    """Queue of messages that point to work (see the module's docstring)."""

    def send(self, group: str, body: str) -> None:
        """Send `body`: it is delivered at least once, in order within `group`."""


class Readers(Protocol):
    """The processes of an account, by the formats that they read (`storage.readers`)."""

    def register(self) -> None:
        """Register this process. Raises Busy, Unavailable."""

    def choose(self, formats: Sequence[int]) -> int:
        """The newest of `formats`, which ascend, that every registered process reads. Raises Busy, Unavailable."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one deployment, with its settings and clock; `builds` are those of a data directory's indexer."""

    table: Table
    objects: Objects
    queue: Queue
    settings: Settings
    system: System
    readers: Readers | None = None
    builds: Builds | None = None
