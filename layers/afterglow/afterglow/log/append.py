"""Appending entries to a log (protocol: `afterglow.log`)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from afterglow.catalog import keys
from afterglow.errors import Unavailable
from afterglow.log import batch as frames
from afterglow.log import entry as entries
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, EntryKind
from afterglow.retry import Backoff, attempts
from afterglow.settings import System
from afterglow.storage.ports import ConditionFailed, Put, Stores, Write

_BACKOFF = Backoff(max_attempts=3, first=0.1, last=0.2)


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """An entry without a number yet; `payload` is its batch's frame.

    `stored_at` and `stored_at_wall` are the monotonic and the wall-clock time of the put of its object.
    """

    entry: Entry
    payload: bytes
    stored_at: float
    stored_at_wall: float


def prepare(stores: Stores, collection_id: UUID, batch: Batch, ttl_key: str | None = None) -> PendingEntry:
    """The entry of a batch. Puts a batch over `log_inline_max_bytes` to an object."""
    frame = frames.encode(batch)
    entry = Entry(
        0, EntryKind.BATCH, stores.system.nonce(), op_count=len(batch.ids), byte_size=len(frame), ttl_key=ttl_key
    )
    if len(frame) <= stores.settings.log_inline_max_bytes:
        return PendingEntry(replace(entry, payload=frame), frame, stores.system.monotonic(), stores.system.now())
    return _put_payload(stores, collection_id, entry, frame)


def _put_payload(stores: Stores, collection_id: UUID, entry: Entry, frame: bytes) -> PendingEntry:
    stored_at, wall = stores.system.monotonic(), stores.system.now()
    key = entries.payload_key(collection_id, entries.milliseconds(wall), entry.nonce)
    stores.objects.put(key, frame)
    return PendingEntry(replace(entry, payload_key=key), frame, stored_at, wall)


def refresh_payload(stores: Stores, collection_id: UUID, pending: PendingEntry) -> PendingEntry:
    """The same entry; an object put long ago is put again under a key with the current time. Call before appending.

    So the time in an object's key is never much before that of its entry; garbage collection relies on that.
    """
    if pending.entry.payload_key is None or not _is_old(stores, pending):
        return pending
    return _put_payload(stores, collection_id, pending.entry, pending.payload)


def ensure_payload(stores: Stores, pending: PendingEntry) -> PendingEntry:
    """The same entry; an object put so long ago that it may have been collected is put again.

    Call before the write is acknowledged, as appending may have taken long.
    """
    key = pending.entry.payload_key
    if key is None or not _is_old(stores, pending):
        return pending
    stores.objects.put(key, pending.payload)
    return replace(pending, stored_at=stores.system.monotonic(), stored_at_wall=stores.system.now())


def _is_old(stores: Stores, pending: PendingEntry) -> bool:
    """Whether the object was put long ago, by either clock: a wall clock that jumped counts as well."""
    age = stores.system.monotonic() - pending.stored_at
    wall_age = abs(stores.system.now() - pending.stored_at_wall)
    return max(age, wall_age) > stores.settings.gc_grace_seconds / 2


def seal_entry(system: System) -> Entry:
    """The entry that ends a dropped collection's log."""
    return Entry(0, EntryKind.SEAL, system.nonce())


def append_at(stores: Stores, collection_id: UUID, entry: Entry, seq: int, extra_writes: Sequence[Write] = ()) -> bool:
    """Put `entry` at number `seq`. True: it is in the log; False: another writer's entry has that number.

    A put whose response is lost is put again: our own nonce at that number shows that it had succeeded. Raises
    Unavailable when the table keeps failing; the write is then either completely there or not at all.

    `extra_writes`, to other items, are written in one transaction with the entry. Raises ConditionFailed where the
    condition of one of these fails.
    """
    value = entries.encode(replace(entry, seq=seq, appended_at=entries.milliseconds(stores.system.now())))
    for attempt in attempts(stores.system, _BACKOFF):
        try:
            if extra_writes:
                put = Put(keys.collection(collection_id), entries.key(seq), value, if_absent=True)
                stores.table.transact([put, *extra_writes])
            else:
                stores.table.put(keys.collection(collection_id), entries.key(seq), value, if_absent=True)
        except ConditionFailed as conflict:
            existing = conflict.existing
            if extra_writes and (existing is None or existing.pk != keys.collection(collection_id)):
                raise
            return existing is not None and entries.decode(existing).nonce == entry.nonce
        except Unavailable:
            if attempt == _BACKOFF.max_attempts:
                raise
            continue
        return True
    raise AssertionError("unreachable")
