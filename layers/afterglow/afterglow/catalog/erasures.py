"""Erasures: what is left to do of them, and the report once they are done (protocol: `afterglow.jobs.erasure`).

An item holds the ids of the records as long as the erasure needs them; the report of a finished one does not.
"""

import zlib
from dataclasses import asdict, dataclass, replace
from uuid import UUID

import orjson

from afterglow.catalog import keys
from afterglow.errors import Corrupt
from afterglow.storage.ports import ConditionFailed, Item, Table

MAX_OBJECTS = 5_000
"""A report names at most so many objects, as an item of DynamoDB has at most 400 KB."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The erasure of records of a collection and its forks; times are Unix seconds.

    `records`: how many ids. `members`: the collections in which the records were deleted, None before all were.
    `stored`: the keys of their objects at that time, except manifests. `objects`: the keys of those that were deleted
    or must be, None before that is known; at most `MAX_OBJECTS` of either. A finished erasure has no `ids`.
    `erased_at`: the log time of the last deletion (Unix milliseconds), 0 before.
    """

    id: UUID
    collection: UUID
    requested_at: float
    deadline: float
    records: int
    ids: tuple[str, ...] = ()
    members: tuple[UUID, ...] | None = None
    stored: tuple[str, ...] = ()
    objects: tuple[str, ...] | None = None
    finished_at: float | None = None
    erased_at: int = 0
    version: int = 0

    @property
    def erased_until(self) -> int:
        """The Unix second up to which everything that was written of the records is erased."""
        return max(self.erased_at, int(self.requested_at * 1000)) // 1000

    @property
    def state(self) -> str:
        """How far it is, in one word."""
        if self.finished_at is not None:
            return "finished"
        return "requested" if self.members is None else "rewriting" if self.objects is None else "deleting"


def create(table: Table, erasure: Erasure) -> Erasure:
    """Store a new erasure. Raises Unavailable, StorageFull."""
    return replace(erasure, version=table.put(keys.ERASURES, str(erasure.id), _encode(erasure)))


def update(table: Table, erasure: Erasure) -> Erasure | None:
    """Store the progress; None if another process has done so meanwhile. Raises Unavailable, StorageFull."""
    try:
        version = table.put(keys.ERASURES, str(erasure.id), _encode(erasure), if_version=erasure.version)
    except ConditionFailed:
        return None
    return replace(erasure, version=version)


def list_all(table: Table) -> list[Erasure]:
    """Every erasure, the oldest request first. Raises Corrupt, Unavailable."""
    return sorted(map(_decode, table.query(keys.ERASURES)), key=lambda erasure: erasure.requested_at)


def _encode(erasure: Erasure) -> bytes:
    value = asdict(erasure)
    del value["version"]
    return zlib.compress(orjson.dumps(value))


def _decode(item: Item) -> Erasure:
    try:
        value = orjson.loads(zlib.decompress(item.value))
        members, objects = value.pop("members"), value.pop("objects")
        value["id"], value["collection"] = UUID(value["id"]), UUID(value["collection"])
        value["ids"], value["stored"] = tuple(value["ids"]), tuple(value["stored"])
        return Erasure(
            **value,
            members=None if members is None else tuple(map(UUID, members)),
            objects=None if objects is None else tuple(objects),
            version=item.version,
        )
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise Corrupt(f"the erasure {item.sk} cannot be read: {error}") from error
