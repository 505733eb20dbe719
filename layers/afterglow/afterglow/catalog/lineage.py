"""Families: collections that were forked from one another, which may name the same objects.

A family is a partition of items, one for each member, under the id of the first of them. A member's item says what it
took over, which is all of its relatives' objects that it can ever name: what the manifest names with which it began,
and batches that its first entries name. It goes when the member's objects are gone.
"""

from dataclasses import dataclass
from uuid import UUID

import orjson

from afterglow.catalog import keys
from afterglow.storage.ports import Item, Put, Table

_MEMBER_PREFIX = "MEMBER#"


@dataclass(frozen=True, slots=True)
class LineageMember:
    """A member of a family.

    It began with the manifest `begins` (None: there was none) and the entries after it up to `origin`. Where those name
    batches of relatives, `payloads` are the first and the last of the times (Unix ms) in the batches' keys.
    """

    id: UUID
    base_manifest: str | None = None
    fork_position: int = 0
    payload_times: tuple[int, int] | None = None
    dropped: bool = False


def put(family: UUID, member: LineageMember) -> Put:
    """What writes a member's item."""
    value = {
        "base_manifest": member.base_manifest,
        "fork_position": member.fork_position,
        "payload_times": member.payload_times,
        "dropped": member.dropped,
    }
    return Put(keys.lineage_partition(family), f"{_MEMBER_PREFIX}{member.id}", orjson.dumps(value))


def members(table: Table, family: UUID) -> list[LineageMember]:
    """All members of a family that still have objects."""
    return [_decoded(item) for item in table.query(keys.lineage_partition(family), after=_MEMBER_PREFIX)]


def find(table: Table, family: UUID, member: UUID) -> LineageMember | None:
    """One member, None where it is not in the family."""
    item = table.get(keys.lineage_partition(family), f"{_MEMBER_PREFIX}{member}")
    return None if item is None else _decoded(item)


def remove(table: Table, family: UUID, member: UUID) -> None:
    """Remove a member whose objects are gone. Forgetting twice is no error."""
    table.delete(keys.lineage_partition(family), f"{_MEMBER_PREFIX}{member}")


def fork_count(table: Table, family: UUID | None) -> int:
    """How many forks a family has: its members besides the first, without those that are dropped."""
    if family is None:
        return 0
    return sum(not each.dropped and each.id != family for each in members(table, family))


def _decoded(item: Item) -> LineageMember:
    value = orjson.loads(item.value)
    return LineageMember(
        id=UUID(item.sk.removeprefix(_MEMBER_PREFIX)),
        base_manifest=value["base_manifest"],
        fork_position=value["fork_position"],
        payload_times=None if value["payload_times"] is None else tuple(value["payload_times"]),
        dropped=value["dropped"],
    )
