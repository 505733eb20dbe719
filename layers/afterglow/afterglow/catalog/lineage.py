"""Lineages: collections forked from one another, which may reference the same objects.

A lineage is a partition with one item per member; the lineage id is the id of the first member. A member's item records
what the fork inherited, which is a superset of the other members' objects that it can ever reference: the objects of
its base manifest, and the batches of its first log entries. The item is removed after the member's objects.
"""

from dataclasses import dataclass
from uuid import UUID

import orjson

from afterglow.catalog import keys
from afterglow.storage.ports import Item, Put, Table

_MEMBER_PREFIX = "MEMBER#"


@dataclass(frozen=True, slots=True)
class LineageMember:
    """A member of a lineage.

    The fork started with the manifest `base_manifest` (None: there was none) and the log entries after it up to
    `fork_position`. If those reference batches of other members, `payload_times` are the first and the last time (Unix
    ms) in the batches' keys.
    """

    id: UUID
    base_manifest: str | None = None
    fork_position: int = 0
    payload_times: tuple[int, int] | None = None
    dropped: bool = False


def put(lineage_id: UUID, member: LineageMember) -> Put:
    """Return the write of a member's item."""
    value = {
        "base_manifest": member.base_manifest,
        "fork_position": member.fork_position,
        "payload_times": member.payload_times,
        "dropped": member.dropped,
    }
    return Put(keys.lineage_partition(lineage_id), f"{_MEMBER_PREFIX}{member.id}", orjson.dumps(value))


def members(table: Table, lineage_id: UUID) -> list[LineageMember]:
    """Return the members of a lineage that still have objects."""
    return [_decode(item) for item in table.query(keys.lineage_partition(lineage_id), after=_MEMBER_PREFIX)]


def find(table: Table, lineage_id: UUID, member_id: UUID) -> LineageMember | None:
    """Return one member, None when it is not in the lineage."""
    item = table.get(keys.lineage_partition(lineage_id), f"{_MEMBER_PREFIX}{member_id}")
    return None if item is None else _decode(item)


def remove(table: Table, lineage_id: UUID, member_id: UUID) -> None:
    """Remove a member whose objects are deleted. A missing one is no error."""
    table.delete(keys.lineage_partition(lineage_id), f"{_MEMBER_PREFIX}{member_id}")


def fork_count(table: Table, lineage_id: UUID | None) -> int:
    """Return the number of forks in a lineage: its members except the first and the dropped ones."""
    if lineage_id is None:
        return 0
    return sum(not member.dropped and member.id != lineage_id for member in members(table, lineage_id))


def _decode(item: Item) -> LineageMember:
    value = orjson.loads(item.value)
    return LineageMember(
        id=UUID(item.sk.removeprefix(_MEMBER_PREFIX)),
        base_manifest=value["base_manifest"],
        fork_position=value["fork_position"],
        payload_times=None if value["payload_times"] is None else tuple(value["payload_times"]),
        dropped=value["dropped"],
    )
