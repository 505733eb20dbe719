"""The catalog's types: databases and collections."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Database:
    """A database of a tenant.

    `namespace_id` names the partition of its collections' names. Every creation gets a new one, unlike `id`, which the
    default database keeps across a reset: the cleanup of the old database must not affect the new one.
    """

    id: UUID
    name: str
    tenant: str
    namespace_id: UUID


@dataclass(frozen=True, slots=True)
class AttachedFunction:
    """A function whose output collection the indexer keeps up to date (`jobs.functions`).

    `function` is one of `FUNCTIONS`. The output reflects the collection's log up to entry `completion_offset`.
    """

    id: UUID
    name: str
    function: str
    output_name: str
    output_id: UUID
    params: Any = None
    completion_offset: int = 0


REVISION_HISTORY = "revision_history"
FUNCTIONS = ("record_counter", "statistics", REVISION_HISTORY)
"""The functions that can be attached."""


@dataclass(frozen=True, slots=True)
class Collection:
    """The `STATE` item of a collection: everything about it except its records.

    `namespace_id` is that of its database. `schema` is the stored schema in the wire's format, with the keys registered
    by writes; the wire's `configuration_json` is derived from it. `manifest_key` is the object key of the checkpoint's
    manifest, None before the first flush; the checkpoint contains the log up to entry `flushed_seq`, `flushed_ops`
    operations in all. No record of the checkpoint expires before `next_expiry`, in Unix seconds (`catalog.ttl`); None:
    no record ever expires. `version` is the item's version, for conditional writes.

    `created_at` is in Unix seconds. A fork starts at entry `fork_position` of its source's log, with the contents of
    the manifest `fork_base` (None: the source had none). `lineage_id` is shared by a collection and its forks: the id
    of the first of them, None for a collection without forks. `function` is the attached function, if there is one.
    Points in time before entry `past_start` cannot be read any more (`jobs.past`), nor those before `erased_seq`, the
    last entry that has deleted records to be erased (`catalog.erasures`). Writes are refused until
    `held_until`, in Unix seconds (`collection.write.hold`).
    """

    id: UUID
    name: str
    tenant: str
    database: str
    namespace_id: UUID
    schema: dict[str, Any]
    metadata: dict[str, Any] | None = None
    dimension: int | None = None
    manifest_key: str | None = None
    flushed_seq: int = 0
    flushed_ops: int = 0
    next_expiry: float | None = None
    is_dropped: bool = False
    created_at: float = 0.0
    fork_position: int = 0
    fork_base: str | None = None
    lineage_id: UUID | None = None
    function: AttachedFunction | None = None
    past_start: int = 0
    erased_seq: int = 0
    held_until: float = 0.0
    version: int = field(default=0, compare=False)

    @property
    def oldest_position(self) -> int:
        """The first position of the log that can be read as a point in time, as far as it is limited here."""
        return max(self.past_start, self.erased_seq)

    @property
    def is_erasing(self) -> bool:
        """Whether objects from before `erased_seq` are still needed."""
        return self.past_start < self.erased_seq
