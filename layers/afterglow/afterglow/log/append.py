"""Putting entries at the end of a log (protocol: `afterglow.log`)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from afterglow.catalog import keys
from afterglow.errors import Unavailable
from afterglow.log import batch as frames
from afterglow.log import entry as entries
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, Kind
from afterglow.settings import Ambient
from afterglow.storage.ports import ConditionFailed, Put, Stores, Write

_ATTEMPTS = 3
_FIRST_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Prepared:
    """An entry that is not numbered yet; its batch's frame; when its object was put."""

    entry: Entry
    frame: bytes
    at: float


def prepare(stores: Stores, collection_id: UUID, batch: Batch, ttl_key: str | None = None) -> Prepared:
    """The entry of a batch; a batch over `inline_bytes` is put to an object here."""
    frame = frames.encode(batch)
    entry = Entry(0, Kind.BATCH, stores.ambient.nonce(), ops=len(batch.ids), size=len(frame), ttl_key=ttl_key)
    if len(frame) <= stores.settings.inline_bytes:
        return Prepared(replace(entry, frame=frame), frame, stores.ambient.now())
    return _stored(stores, collection_id, entry, frame)


def _stored(stores: Stores, collection_id: UUID, entry: Entry, frame: bytes) -> Prepared:
    at = stores.ambient.now()
    key = entries.payload_key(collection_id, entries.milliseconds(at), entry.nonce)
    stores.objects.put(key, frame)
    return Prepared(replace(entry, object=key), frame, at)


def renewed(stores: Stores, collection_id: UUID, prepared: Prepared) -> Prepared:
    """The same, its object put again under a key of now where that was long ago; to be called before it is appended.

    So the time in an object's key is never much before that of its entry, by which garbage collection goes.
    """
    if prepared.entry.object is None or not _is_old(stores, prepared):
        return prepared
    return _stored(stores, collection_id, prepared.entry, prepared.frame)


def secured(stores: Stores, prepared: Prepared) -> Prepared:
    """The same, its object put again where that is so long ago that it may have been collected.

    To be called before the write is acknowledged, as appending may have taken long.
    """
    if prepared.entry.object is None or not _is_old(stores, prepared):
        return prepared
    stores.objects.put(prepared.entry.object, prepared.frame)
    return replace(prepared, at=stores.ambient.now())


def _is_old(stores: Stores, prepared: Prepared) -> bool:
    return stores.ambient.now() - prepared.at > stores.settings.garbage_grace_seconds / 2


def fence(ambient: Ambient) -> Entry:
    """The entry that ends a dropped collection's log."""
    return Entry(0, Kind.FENCE, ambient.nonce())


def append_at(stores: Stores, collection_id: UUID, entry: Entry, seq: int, beside: Sequence[Write] = ()) -> bool:
    """Put `entry` at number `seq`; whether it stands there now. False: another writer's entry does.

    A put whose answer is lost is put again: our own nonce at that number shows that it had succeeded. Raises
    Unavailable when the table keeps failing; the write is then either wholly there or not at all.

    What is written `beside` it, to other items, is written in one transaction with it. Raises ConditionFailed where one
    of these is refused.
    """
    value = entries.encode(replace(entry, seq=seq, at=entries.milliseconds(stores.ambient.now())))
    for attempt in range(_ATTEMPTS):
        try:
            if beside:
                put = Put(keys.collection(collection_id), entries.key(seq), value, if_absent=True)
                stores.table.transact([put, *beside])
            else:
                stores.table.put(keys.collection(collection_id), entries.key(seq), value, if_absent=True)
        except ConditionFailed as conflict:
            existing = conflict.existing
            if beside and (existing is None or existing.pk != keys.collection(collection_id)):
                raise
            return existing is not None and entries.decode(existing).nonce == entry.nonce
        except Unavailable:
            if attempt == _ATTEMPTS - 1:
                raise
            stores.ambient.sleep(_FIRST_PAUSE_SECONDS * 2**attempt * (0.5 + stores.ambient.random.random()))
            continue
        return True
    raise AssertionError("unreachable")
