"""Putting entries at the end of a log (protocol: `afterglow.log`)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from afterglow.catalog import keys
from afterglow.errors import Unavailable
from afterglow.log import batch as frames
from afterglow.log import entry as entries
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, EntryKind
from afterglow.settings import System
from afterglow.storage.ports import ConditionFailed, Put, Stores, Write

_ATTEMPTS = 3
_FIRST_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """An entry that is not numbered yet; its batch's frame; when its object was put."""

    entry: Entry
    payload: bytes
    at: float


def prepare(stores: Stores, collection_id: UUID, batch: Batch, ttl_key: str | None = None) -> PendingEntry:
    """The entry of a batch; a batch over `log_inline_max_bytes` is put to an object here."""
    frame = frames.encode(batch)
    entry = Entry(
        0, EntryKind.BATCH, stores.system.nonce(), op_count=len(batch.ids), byte_size=len(frame), ttl_key=ttl_key
    )
    if len(frame) <= stores.settings.log_inline_max_bytes:
        return PendingEntry(replace(entry, payload=frame), frame, stores.system.now())
    return _stored(stores, collection_id, entry, frame)


def _stored(stores: Stores, collection_id: UUID, entry: Entry, frame: bytes) -> PendingEntry:
    at = stores.system.now()
    key = entries.payload_key(collection_id, entries.milliseconds(at), entry.nonce)
    stores.objects.put(key, frame)
    return PendingEntry(replace(entry, payload_key=key), frame, at)


def refresh_payload(stores: Stores, collection_id: UUID, prepared: PendingEntry) -> PendingEntry:
    """The same, its object put again under a key of now where that was long ago; to be called before it is appended.

    So the time in an object's key is never much before that of its entry, by which garbage collection goes.
    """
    if prepared.entry.payload_key is None or not _is_old(stores, prepared):
        return prepared
    return _stored(stores, collection_id, prepared.entry, prepared.payload)


def ensure_payload(stores: Stores, prepared: PendingEntry) -> PendingEntry:
    """The same, its object put again where that is so long ago that it may have been collected.

    To be called before the write is acknowledged, as appending may have taken long.
    """
    if prepared.entry.payload_key is None or not _is_old(stores, prepared):
        return prepared
    stores.objects.put(prepared.entry.payload_key, prepared.payload)
    return replace(prepared, at=stores.system.now())


def _is_old(stores: Stores, prepared: PendingEntry) -> bool:
    return stores.system.now() - prepared.at > stores.settings.gc_grace_seconds / 2


def seal_entry(system: System) -> Entry:
    """The entry that ends a dropped collection's log."""
    return Entry(0, EntryKind.SEAL, system.nonce())


def append_at(stores: Stores, collection_id: UUID, entry: Entry, seq: int, extra_writes: Sequence[Write] = ()) -> bool:
    """Put `entry` at number `seq`; whether it stands there now. False: another writer's entry does.

    A put whose answer is lost is put again: our own nonce at that number shows that it had succeeded. Raises
    Unavailable when the table keeps failing; the write is then either wholly there or not at all.

    What is written `beside` it, to other items, is written in one transaction with it. Raises ConditionFailed where one
    of these is refused.
    """
    value = entries.encode(replace(entry, seq=seq, appended_at=entries.milliseconds(stores.system.now())))
    for attempt in range(_ATTEMPTS):
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
            if attempt == _ATTEMPTS - 1:
                raise
            stores.system.sleep(_FIRST_PAUSE_SECONDS * 2**attempt * (0.5 + stores.system.random.random()))
            continue
        return True
    raise AssertionError("unreachable")
