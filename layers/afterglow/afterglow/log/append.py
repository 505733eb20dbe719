"""Putting entries at the end of a log (protocol: `afterglow.log`)."""

from dataclasses import dataclass, replace
from uuid import UUID

from afterglow.catalog import keys
from afterglow.errors import Unavailable
from afterglow.log import batch as frames
from afterglow.log import entry as entries
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, Kind
from afterglow.settings import Ambient
from afterglow.storage.ports import ConditionFailed
from afterglow.storage.stores import Stores

_ATTEMPTS = 3
_FIRST_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Prepared:
    """An entry that is not numbered yet; its batch's frame; when its object was put."""

    entry: Entry
    frame: bytes
    at: float


def prepare(stores: Stores, collection_id: UUID, batch: Batch) -> Prepared:
    """The entry of a batch; a batch over `inline_bytes` is put to an object here."""
    frame, at = frames.encode(batch), stores.ambient.now()
    entry = Entry(0, Kind.BATCH, stores.ambient.nonce(), ops=len(batch.ids), size=len(frame))
    if len(frame) <= stores.settings.inline_bytes:
        return Prepared(replace(entry, frame=frame), frame, at)
    key = entries.payload_key(collection_id, entry.nonce)
    stores.objects.put(key, frame)
    return Prepared(replace(entry, object=key), frame, at)


def secured(stores: Stores, prepared: Prepared) -> Prepared:
    """The same, its object put again where that is so long ago that it may have been collected, or soon will be.

    To be called before the entry is appended, else a crash right after it leaves an entry without its batch; and before
    the write is acknowledged, as appending may have taken long.
    """
    now = stores.ambient.now()
    if prepared.entry.object is None or now - prepared.at <= stores.settings.garbage_grace_seconds / 2:
        return prepared
    stores.objects.put(prepared.entry.object, prepared.frame)
    return replace(prepared, at=now)


def fence(ambient: Ambient) -> Entry:
    """The entry that ends a dropped collection's log."""
    return Entry(0, Kind.FENCE, ambient.nonce())


def append_at(stores: Stores, collection_id: UUID, entry: Entry, seq: int) -> bool:
    """Put `entry` at number `seq`; whether it stands there now. False: another writer's entry does.

    A put whose answer is lost is put again: our own nonce at that number shows that it had succeeded. Raises
    Unavailable when the table keeps failing; the write is then either wholly there or not at all.
    """
    value = entries.encode(replace(entry, seq=seq))
    for attempt in range(_ATTEMPTS):
        try:
            stores.table.put(keys.collection(collection_id), entries.key(seq), value, if_absent=True)
        except ConditionFailed as conflict:
            return conflict.existing is not None and entries.decode(conflict.existing).nonce == entry.nonce
        except Unavailable:
            if attempt == _ATTEMPTS - 1:
                raise
            stores.ambient.sleep(_FIRST_PAUSE_SECONDS * 2**attempt * (0.5 + stores.ambient.random.random()))
            continue
        return True
    raise AssertionError("unreachable")
