"""Forking: a new collection that begins as another is, or was, naming the same objects.

1. Read the source's state with what is not folded yet, or find a moment of its past (`collection.time_travel.point_in_time`).
2. Where there are such entries: note the fork among what is dropped, then put the entries, as they are, at the same
   numbers of its own log. Their batches are not copied. *Crash after: the note has them cleaned away.*
3. In one transaction: the fork's state, which names the source's manifest, its name, both as members of a family, the
   note removed; and the source's state as it was read. Where that was changed since, as by a fold, begin again with a
   new id. *Crash before: as in 2. After: the fork is there.*

So a fork costs a few items, whatever it holds, and not an object. Nothing that it names can be collected meanwhile: who
collects reads the source's state first and the family afterwards (`jobs.gc`), so that it either finds the fork, or
found the state that the fork found too; and what is of the past stays for the grace time after its time is over, of
which a fork may take half.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from afterglow.catalog import collections, deletions, keys, lineage, ttl
from afterglow.catalog import state as states
from afterglow.catalog.deletions import DeletionRecord
from afterglow.catalog.lineage import LineageMember
from afterglow.catalog.model import Collection, Database
from afterglow.collection.time_travel import point_in_time
from afterglow.collection.time_travel.point_in_time import PointInTime, ResolvedPoint
from afterglow.collection.write.write_path import notify_indexer
from afterglow.errors import Unavailable
from afterglow.log import entry as entries
from afterglow.log import read as log
from afterglow.log.entry import Entry, EntryKind
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import ConditionFailed, Put, Stores, Write

_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """What the fork is to be called, and where."""

    database: Database
    name: str


def fork(stores: Stores, source_id: UUID, wish: ForkRequest, moment: PointInTime | None) -> Collection:
    """Make the fork of a collection as of now, or of a moment; of one that is dropped only the latter.

    Raises NotFound, AlreadyExists, InvalidArgument where the moment is not to be had, Unavailable, StorageFull.
    """
    for _ in range(_ATTEMPTS):
        begun = stores.system.now()
        past = (
            _current_state(stores, source_id)
            if moment is None
            else point_in_time.resolve(stores, _state(stores, source_id), moment)
        )
        made = _new_state(stores, past, wish)
        written = _stage_log(stores, made, past)
        if stores.system.now() - begun > stores.settings.gc_grace_seconds / 2:
            continue
        if _commit(stores, past, made, written):
            if past.entries:
                notify_indexer(stores, made.id, str(past.position))
            return made
    raise Unavailable(f"collection {source_id} is being folded too fast to fork it")


def _state(stores: Stores, source_id: UUID) -> Collection:
    return collections.require_stored(stores.table, source_id)


def _current_state(stores: Stores, source_id: UUID) -> ResolvedPoint:
    for _ in range(_ATTEMPTS):
        state = _state(stores, source_id)
        news = log.read_after(stores.table, source_id, state.flushed_seq)
        newest = None if news.state is None else states.decode(news.state)
        if newest is None or newest.is_dropped or any(each.kind is EntryKind.SEAL for each in news.entries):
            raise collections.not_found(source_id)
        if not news.trimmed and newest.manifest_key == state.manifest_key:
            base = None if newest.manifest_key is None else manifests.parse_key(newest.manifest_key)
            return ResolvedPoint(newest, base, tuple(news.entries))
    raise Unavailable(f"collection {source_id} is being folded too fast to fork it")


def _new_state(stores: Stores, past: ResolvedPoint, wish: ForkRequest) -> Collection:
    """The fork's state."""
    base, source = past.base, past.collection
    return replace(
        source,
        id=stores.system.new_id(),
        name=wish.name,
        tenant=wish.database.tenant,
        database=wish.database.name,
        namespace_id=wish.database.namespace_id,
        manifest_key=None if base is None else base.key,
        flushed_seq=0 if base is None else base.flushed_seq,
        flushed_ops=0 if base is None else base.flushed_ops,
        next_expiry=ttl.unknown_expiry(source.metadata),
        is_dropped=False,
        created_at=stores.system.now(),
        fork_position=past.position,
        fork_base=None if base is None else base.key,
        lineage_id=source.lineage_id or source.id,
        version=1,
    )


def _stage_log(stores: Stores, made: Collection, past: ResolvedPoint) -> DeletionRecord | None:
    """Put the entries under a note; None where there are none."""
    if not past.entries:
        return None
    note = deletions.stage(stores.table, DeletionRecord(made.id, stores.system.now(), skip_retention=True))
    pk = keys.collection(made.id)
    stores.table.put_many([Put(pk, entries.key(each.seq), entries.encode(each)) for each in past.entries])
    return note


def _commit(stores: Stores, past: ResolvedPoint, made: Collection, note: DeletionRecord | None) -> bool:
    """Whether it is done; False: the source was changed meanwhile. Raises NotFound, AlreadyExists."""
    source, family = past.collection, past.collection.lineage_id or past.collection.id
    member = LineageMember(made.id, made.fork_base, made.fork_position, _payload_times(past.entries))
    writes: list[Write] = [
        *collections.creation_writes(made),
        Put(
            keys.collection(source.id),
            keys.STATE,
            states.encode(replace(source, lineage_id=family)),
            if_version=source.version,
        ),
        lineage.put(family, member),
        *([] if note is None else [deletions.commit_write(note)]),
    ]
    if source.lineage_id is None:
        writes.append(lineage.put(family, LineageMember(source.id, dropped=source.is_dropped)))
    try:
        stores.table.transact(writes)
    except ConditionFailed:
        return collections.resolve_create_conflict(stores.table, made)
    return True


def _payload_times(copied: Sequence[Entry]) -> tuple[int, int] | None:
    times = [entries.payload_time(each.payload_key) for each in copied if each.payload_key is not None]
    return (min(times), max(times)) if times else None
