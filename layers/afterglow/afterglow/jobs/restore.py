"""Rolling a collection back to a moment, or bringing a dropped one back: by forking it as it was.

1. Fork it as of the moment (`collection.time_travel.fork`), under a name that is free.
2. With `replace`: in one transaction the fork takes the name, and what had it is dropped; then end that one's log.
   *Crash before: the fork is there under its first name. After: the janitor ends the log, as after any drop.*

Nothing is lost by either: what was replaced can be restored like whatever else was dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from afterglow.catalog import Catalog, collections, deletions
from afterglow.catalog import state as states
from afterglow.catalog.model import Collection, Database
from afterglow.collection.time_travel import fork
from afterglow.collection.time_travel.fork import ForkRequest
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.write import write_path
from afterglow.errors import InvalidArgument, NotFound
from afterglow.log import entry as entries
from afterglow.storage.ports import Stores

_LONGEST_NAME = 400


@dataclass(frozen=True, slots=True)
class DroppedCollection:
    """A dropped collection that can be brought back until `until`; both times are Unix seconds."""

    collection: Collection
    dropped_at: float
    until: float


def restorable(stores: Stores, place: Database) -> Iterator[DroppedCollection]:
    """What was dropped of a database, the newest first. Raises Unavailable, Corrupt."""
    retention = stores.settings.retention_seconds
    for note in sorted(deletions.list_records(stores.table), key=lambda note: -note.deleted_at):
        item = collections.read_state(stores.table, note.id)
        state = None if item is None else states.decode(item)
        until = note.deleted_at + retention
        is_there = state is not None and (state.tenant, state.database) == (place.tenant, place.name)
        if state is not None and is_there and not note.skip_retention and until > stores.system.now():
            yield DroppedCollection(state, note.deleted_at, until)


def find(stores: Stores, place: Database, wanted: str) -> Collection:
    """The collection of this name or id, or else the newest dropped one. Raises NotFound."""
    living = collections.by_name(stores.table, place, wanted)
    if living is not None:
        return living
    for each in restorable(stores, place):
        if wanted in (each.collection.name, str(each.collection.id)):
            return each.collection
    try:
        of_id = collections.by_id(stores.table, UUID(wanted))
    except ValueError:
        of_id = None
    if of_id is None or (of_id.tenant, of_id.database) != (place.tenant, place.name):
        raise NotFound(
            f"no collection {wanted!r} in database {place.name!r} of tenant {place.tenant!r}, nor one that was dropped"
            " lately"
        )
    return of_id


def restore(
    stores: Stores, source: Collection, moment: PointInTime | None, name: str | None = None, *, replace: bool = False
) -> Collection:
    """The collection as of a moment (of a dropped one None is its end), as a new one; with `replace` in its place.

    Without a name a dropped collection gets its own again, a living one one with the time in it. Raises NotFound,
    AlreadyExists, InvalidArgument where the moment is not to be had, Unavailable, StorageFull.
    """
    if moment is None and not source.is_dropped:
        raise InvalidArgument(f"collection {source.name!r} is there: say as of when it is wanted")
    now = stores.system.now()
    place = Catalog(stores.table, stores.system).get_database(source.tenant, source.database)
    if name is None:
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        name = source.name if source.is_dropped else f"{source.name[:_LONGEST_NAME]}-restored-{stamp}"
    as_of = moment or PointInTime(time=entries.milliseconds(now))
    made = fork.fork(stores, source.id, ForkRequest(place, name), as_of)
    if not replace or source.is_dropped:
        return made
    replaced = collections.swap_name(stores.table, stores.system, source.id, made.id)
    write_path.seal_log(stores, source.id)
    write_path.notify_indexer(stores, source.id, "dropped")
    return replaced
