"""The three ports every other room stands on, and what an adapter must promise.

Table — small items under (`pk`, `sk`), strongly consistent:

* `put` is atomic and durable when it returns; `if_absent` / `if_version` are checked in the same step.
* `query` sees every put that returned before it began, in ascending order of `sk` (bytewise).
* `transact` applies all of its writes or none; a query beside it may see some of them and not yet others.

Objects — immutable blobs under a key:

* `put` and `upload` are durable and whole when they return: a reader sees all of the object or none of it.
* `local_file` gives a path whose bytes never change; the object's deletion does not pull it from under a map.

Queue — pointers to work, at least once, in order within a group. Losing a message may cost time, never data:
the next writer or the janitor sends it again.

Each adapter passes `tests/contract`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from afterglow.errors import AfterglowError
from afterglow.settings import Settings, System


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the table. `version` is 1 when the item is created and grows by 1 with each put."""

    pk: str
    sk: str
    value: bytes
    version: int
    expires_at: int | None = None
    """Unix seconds after which the janitor (or DynamoDB's TTL) may remove it."""


class ConditionFailed(AfterglowError):
    """A conditional write found something else; `existing` is the item that stands there, if any."""

    def __init__(self, message: str, existing: Item | None = None) -> None:
        super().__init__(message)
        self.existing = existing


class ObjectNotFound(AfterglowError):
    """No object under this key."""


@dataclass(frozen=True, slots=True)
class Put:
    """A put inside a transaction; at most one of the two conditions."""

    pk: str
    sk: str
    value: bytes
    if_absent: bool = False
    if_version: int | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """A delete inside a transaction."""

    pk: str
    sk: str
    if_version: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A condition inside a transaction on an item that it does not write: the item exists."""

    pk: str
    sk: str


Write = Put | Delete | Check


class Table(Protocol):
    """Small items, strongly consistent."""

    def get(self, pk: str, sk: str) -> Item | None:
        """The item, or None."""

    def get_many(self, keys: Sequence[tuple[str, str]]) -> list[Item | None]:
        """The items in the order of `keys`, None where there is none; not one atomic read."""

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
        """Unconditional puts in as few round trips as the store allows; after a crash any of them may be missing.

        Versions afterwards are not told: not for items that anybody puts by version.
        """

    def query(
        self,
        pk: str,
        *,
        after: str = "",
        before: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[Item]:
        """Items of `pk` with `after` < sk (and sk < `before`), ascending, or descending with `reverse`."""

    def delete(self, pk: str, sk: str, *, if_version: int | None = None) -> None:
        """Remove the item; removing what is not there is no error (without a condition)."""

    def transact(self, writes: Sequence[Write]) -> None:
        """All of `writes` or none (at most 100, each on another item). Raises ConditionFailed."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing says of an object."""

    key: str
    size: int
    modified: float
    """Unix seconds."""


class Objects(Protocol):
    """Immutable blobs."""

    def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        """Store a small object. Raises ConditionFailed when `if_absent` and there is one."""

    def temporary_path(self, name: str) -> Path:
        """A path on the same file system to write an object's file to before `upload`."""

    def upload(self, key: str, path: Path) -> None:
        """Make the file at `path` (from `scratch`) the object `key`; the file is consumed."""

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes, or a range of them. Raises ObjectMissing."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes of each object, None where there is none; side by side where the store is remote."""

    def prefetch(self, keys: Sequence[str]) -> None:
        """Have local files of these objects ready, side by side where the store is remote; one missing is no error."""

    def local_path(self, key: str) -> Path:
        """A local file with the object's bytes, downloaded first where the store is remote. Raises ObjectMissing.

        Where it is a copy, it may be removed to make room unless somebody holds a shared lock (`flock`) on it.
        """

    def invalidate(self, key: str) -> bool:
        """The local file is not what was stored: drop it, if it is a copy; whether it is worth asking for again."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, ascending by key."""

    def delete(self, key: str) -> None:
        """Remove the object; removing what is not there is no error."""

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove the objects in as few round trips as the store allows; after a crash any of them may be left."""


class Queue(Protocol):
    """Pointers to work."""

    def send(self, group: str, body: str) -> None:
        """Ask for `body` to be worked on, in order within `group`, at least once."""


@dataclass(frozen=True, slots=True)
class Stores:
    """One deployment's stores."""

    table: Table
    objects: Objects
    queue: Queue
    settings: Settings
    system: System
