"""Restores a collection to a point in time, or a dropped one: by forking it as it was.

1. Fork it as of the point in time (`collection.time_travel.fork`), under a free name.
2. With `replace`: in one transaction the fork takes the name of the source, and the source is dropped; then seal the
   log of the source. *Crash before: the fork exists under its first name. After: the maintenance job seals the log, as
   after any drop.*

Neither loses data: what was replaced can be restored like any dropped collection.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from afterglow.catalog import Catalog, collections, deletions
from afterglow.catalog.model import Collection, Database
from afterglow.collection.time_travel import fork
from afterglow.collection.time_travel.fork import ForkRequest
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.write import write_path
from afterglow.collection.write.notification import notify_indexer
from afterglow.errors import InvalidArgument, NotFound
from afterglow.log import read as log
from afterglow.log.entry import EntryKind
from afterglow.storage.clock import earliest_now
from afterglow.storage.ports import Stores

_MAX_NAME_LENGTH = 400


@dataclass(frozen=True, slots=True)
class DroppedCollection:
    """A dropped collection that can be restored until `until`; both times are Unix seconds."""

    collection: Collection
    dropped_at: float
    until: float


def restorable(stores: Stores, database: Database) -> Iterator[DroppedCollection]:
    """The dropped collections of a database that can be restored, newest first. Raises Unavailable, Corrupt."""
    now, retention = earliest_now(stores.table, stores.system), stores.settings.retention_seconds
    for record in sorted(deletions.list_records(stores.table), key=lambda record: -record.deleted_at):
        state = collections.stored(stores.table, record.id)
        until = record.deleted_at + retention
        belongs = state is not None and (state.tenant, state.database) == (database.tenant, database.name)
        if state is not None and belongs and not record.skip_retention and until > now:
            yield DroppedCollection(state, record.deleted_at, until)


def find(stores: Stores, database: Database, name_or_id: str) -> Collection:
    """The collection with this name or id, or else the newest dropped one. Raises NotFound."""
    living = collections.by_name(stores.table, database, name_or_id)
    if living is not None:
        return living
    for dropped in restorable(stores, database):
        if name_or_id in (dropped.collection.name, str(dropped.collection.id)):
            return dropped.collection
    try:
        by_id = collections.by_id(stores.table, UUID(name_or_id))
    except ValueError:
        by_id = None
    if by_id is None or (by_id.tenant, by_id.database) != (database.tenant, database.name):
        raise NotFound(
            f"no collection {name_or_id!r} in database {database.name!r} of tenant {database.tenant!r}, "
            "nor a dropped one that can be restored"
        )
    return by_id


def restore(
    stores: Stores, source: Collection, at: PointInTime | None, name: str | None = None, *, replace: bool = False
) -> Collection:
    """A new collection with the contents at a point in time; `replace` replaces the source by it.

    `at` None is the end of a dropped collection. Without a name a dropped collection gets its own back, and an existing
    one gets a name that contains the time. Raises NotFound, AlreadyExists, InvalidArgument for a point in time that is
    not retained, Unavailable, StorageFull.
    """
    if at is None and not source.is_dropped:
        raise InvalidArgument(f"collection {source.name!r} is not dropped: to restore it, give a point in time (--at)")
    now = stores.system.now()
    database = Catalog(stores.table, stores.system).get_database(source.tenant, source.database)
    if name is None:
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        name = source.name if source.is_dropped else f"{source.name[:_MAX_NAME_LENGTH]}-restored-{stamp}"
    as_of = at or PointInTime(position=_last_position(stores, source))
    restored = fork.fork(stores, source.id, ForkRequest(database, name), as_of)
    if not replace or source.is_dropped:
        return restored
    replaced = collections.swap_name(stores.table, stores.system, source.id, restored.id)
    write_path.seal_log(stores, source.id)
    notify_indexer(stores, source.id, "dropped")
    return replaced


def _last_position(stores: Stores, source: Collection) -> int:
    """The number of the last entry of a dropped collection, without its seal."""
    unflushed = log.read_after(stores.table, source.id, source.flushed_seq).entries
    batches = [entry.seq for entry in unflushed if entry.kind is not EntryKind.SEAL]
    return batches[-1] if batches else source.flushed_seq
