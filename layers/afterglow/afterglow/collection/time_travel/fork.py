"""Forking: create a collection with the records of another, now or at a point in time, sharing its objects.

1. Read the source's state and unflushed log, or resolve the point in time (`collection.time_travel.point_in_time`).
2. If there are log entries: write a deletion record for the fork, then put the entries unchanged at the same numbers of
   the fork's log. Their batches are not copied. *Crash after: the deletion record makes the purge delete them.*
3. In one transaction: put the fork's state, which references the source's manifest, and its name; put both collections
   into the lineage; remove the deletion record; put the source's state on condition that it is the version read in
   step 1. If the source was changed since, for example by a flush, start over with a new id. *Crash before: as in 2.
   Crash after: the fork exists.*

A fork costs a few table items, whatever its size, and no object. Nothing that it references is garbage collected
meanwhile: the collector reads the source's state first and the lineage afterwards (`jobs.gc`), so it either finds the
fork, or it has read the same state as the fork. Objects that only
time travel needs stay for the grace period after their retention ends; a fork may take half of that period.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from afterglow.catalog import collections, deletions, keys, lineage, ttl
from afterglow.catalog import state as states
from afterglow.catalog.deletions import DeletionRecord
from afterglow.catalog.lineage import LineageMember
from afterglow.catalog.model import Collection, Database
from afterglow.collection.time_travel import point_in_time
from afterglow.collection.time_travel.point_in_time import PointInTime, ResolvedPoint
from afterglow.collection.write.notification import notify_indexer
from afterglow.errors import Unavailable
from afterglow.log import entry as entries
from afterglow.log import read as log
from afterglow.log.entry import Entry, EntryKind
from afterglow.retry import Backoff, attempts
from afterglow.segment import manifest as manifests
from afterglow.storage.clock import latest_now
from afterglow.storage.ports import ConditionFailed, Put, Stores, Write

_RETRIES = Backoff(max_attempts=20, first=0.0, last=0.0)
"""Start over at once: a flush changed the source, and the next flush is seconds away."""


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """The name of the fork, and its database."""

    database: Database
    name: str


def fork(stores: Stores, source_id: UUID, request: ForkRequest, at: PointInTime | None) -> Collection:
    """Fork a collection, now or at a point in time. A dropped collection can only be forked at a point in time.

    Raises NotFound, AlreadyExists, InvalidArgument if the point in time cannot be read, Unavailable, StorageFull.
    """

    def resolve() -> ResolvedPoint:
        if at is None:
            return _current_state(stores, source_id)
        return point_in_time.resolve(stores, _state(stores, source_id), at)

    return fork_resolved(stores, source_id, request, resolve)


def fork_resolved(
    stores: Stores, source_id: UUID, request: ForkRequest, resolve: Callable[[], ResolvedPoint]
) -> Collection:
    """Fork a point of a collection, which `resolve` reads again if the collection has changed meanwhile.

    Raises NotFound, AlreadyExists, Unavailable, StorageFull, and the errors of `resolve`.
    """
    for _ in attempts(stores.system, _RETRIES):
        started = stores.system.monotonic()
        source = resolve()
        forked = _new_state(stores, source, request)
        deletion = _stage_log(stores, forked, source)
        if stores.system.monotonic() - started > stores.settings.gc_grace_seconds / 2:
            continue
        if _commit(stores, source, forked, deletion):
            if source.entries:
                notify_indexer(stores, forked.id, str(source.position))
            return forked
    raise Unavailable(f"collection {source_id} is being flushed too fast to fork it")


def _state(stores: Stores, source_id: UUID) -> Collection:
    return collections.require_stored(stores.table, source_id)


def _current_state(stores: Stores, source_id: UUID) -> ResolvedPoint:
    for _ in attempts(stores.system, _RETRIES):
        state = _state(stores, source_id)
        log_slice = log.read_after(stores.table, source_id, state.flushed_seq)
        newest = None if log_slice.state is None else states.decode(log_slice.state)
        if newest is None or newest.is_dropped or any(entry.kind is EntryKind.SEAL for entry in log_slice.entries):
            raise collections.not_found(source_id)
        if not log_slice.trimmed and newest.manifest_key == state.manifest_key:
            base = None if newest.manifest_key is None else manifests.parse_key(newest.manifest_key)
            return ResolvedPoint(newest, base, tuple(log_slice.entries))
    raise Unavailable(f"collection {source_id} is being flushed too fast to fork it")


def _new_state(stores: Stores, source: ResolvedPoint, request: ForkRequest) -> Collection:
    """The fork's state."""
    base, collection = source.base, source.collection
    return replace(
        collection,
        id=stores.system.new_id(),
        name=request.name,
        tenant=request.database.tenant,
        database=request.database.name,
        namespace_id=request.database.namespace_id,
        manifest_key=None if base is None else base.key,
        flushed_seq=0 if base is None else base.flushed_seq,
        flushed_ops=0 if base is None else base.flushed_ops,
        next_expiry=ttl.unknown_expiry(collection.metadata),
        is_dropped=False,
        created_at=stores.system.now(),
        fork_position=source.position,
        fork_base=None if base is None else base.key,
        lineage_id=collection.lineage_id or collection.id,
        function=None,
        past_start=0,
        held_until=0.0,
        version=1,
    )


def _stage_log(stores: Stores, forked: Collection, source: ResolvedPoint) -> DeletionRecord | None:
    """Put the log entries, protected by a deletion record; None if there are no entries."""
    if not source.entries:
        return None
    now = latest_now(stores.table, stores.system)
    deletion = deletions.stage(stores.table, DeletionRecord(forked.id, now, skip_retention=True))
    pk = keys.collection(forked.id)
    stores.table.put_many([Put(pk, entries.key(entry.seq), entries.encode(entry)) for entry in source.entries])
    return deletion


def _commit(stores: Stores, source: ResolvedPoint, forked: Collection, deletion: DeletionRecord | None) -> bool:
    """Step 3; False if the source was changed meanwhile. Raises NotFound, AlreadyExists."""
    collection, lineage_id = source.collection, source.collection.lineage_id or source.collection.id
    member = LineageMember(forked.id, forked.fork_base, forked.fork_position, _payload_times(source.entries))
    writes: list[Write] = [
        *collections.creation_writes(forked),
        Put(
            keys.collection(collection.id),
            keys.STATE,
            states.encode(replace(collection, lineage_id=lineage_id)),
            if_version=collection.version,
        ),
        lineage.put(lineage_id, member),
        *([] if deletion is None else [deletions.commit_write(deletion)]),
    ]
    if collection.lineage_id is None:
        writes.append(lineage.put(lineage_id, LineageMember(collection.id, dropped=collection.is_dropped)))
    try:
        stores.table.transact(writes)
    except ConditionFailed:
        return collections.resolve_create_conflict(stores.table, forked)
    return True


def _payload_times(copied: Sequence[Entry]) -> tuple[int, int] | None:
    times = [entries.payload_time(entry.payload_key) for entry in copied if entry.payload_key is not None]
    return (min(times), max(times)) if times else None
