"""What the catalog knows of tenants, databases and collections."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Database:
    """A database of a tenant.

    `home` names the partition of its collections' names. It is new with every creation, unlike `id`, which the default
    database has again after a reset: what is still to be cleaned of the old one must not meet the new.
    """

    id: UUID
    name: str
    tenant: str
    namespace_id: UUID


@dataclass(frozen=True, slots=True)
class Collection:
    """The `STATE` item of a collection: all that is known of it besides its records.

    `home` is that of its database. `schema` is the stored schema as it goes over the wire (with the keys that writes
    registered); the wire's `configuration_json` is derived from it. `manifest` is the object key of the checkpoint's
    manifest, None before the first; the checkpoint holds the log up to entry `folded`, which is `folded_ops`
    operations. No record of the checkpoint expires before `expires`, in Unix seconds (`catalog.ttl`); None: none ever
    does. `version` is the item's version, for conditional writes.

    `created` is when it was made, in Unix seconds. A fork begins at entry `origin` of another's log, with what the
    manifest `begins` names (None where there was none yet); `family` is what it and its relatives have in common: the
    id of the first of them, None for a collection without relatives.
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
    version: int = field(default=0, compare=False)
