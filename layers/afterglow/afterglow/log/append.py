"""Putting entries at the end of a log (protocol: `afterglow.log`)."""

from dataclasses import replace
from uuid import UUID

from afterglow.catalog import keys
from afterglow.errors import Unavailable
from afterglow.log import batch as frames
from afterglow.log import entry as entries
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, Kind
from afterglow.settings import Ambient, Settings
from afterglow.storage.ports import ConditionFailed, Objects, Table

_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.05


def prepare(objects: Objects, settings: Settings, ambient: Ambient, collection_id: UUID, batch: Batch) -> Entry:
    """The entry of a batch, not yet numbered; a batch over `inline_bytes` is put to an object here."""
    frame = frames.encode(batch)
    entry = Entry(0, Kind.BATCH, ambient.nonce(), ops=len(batch.ids), bytes=len(frame))
    if len(frame) <= settings.inline_bytes:
        return replace(entry, frame=frame)
    key = entries.payload_key(collection_id, entry.nonce)
    objects.put(key, frame)
    return replace(entry, object=key)


def fence(ambient: Ambient) -> Entry:
    """The entry that ends a dropped collection's log."""
    return Entry(0, Kind.FENCE, ambient.nonce())


def append_at(table: Table, ambient: Ambient, collection_id: UUID, entry: Entry, seq: int) -> bool:
    """Put `entry` at number `seq`; whether it stands there now. False: another writer's entry does.

    A put whose answer is lost is put again: our own nonce at that number shows that it had succeeded. Raises
    Unavailable when the table keeps failing; the write is then either wholly there or not at all.
    """
    value = entries.encode(replace(entry, seq=seq))
    for attempt in range(_ATTEMPTS):
        try:
            table.put(keys.collection(collection_id), entries.key(seq), value, if_absent=True)
        except ConditionFailed as conflict:
            return conflict.existing is not None and entries.decode(conflict.existing).nonce == entry.nonce
        except Unavailable:
            if attempt == _ATTEMPTS - 1:
                raise
            ambient.sleep(_FIRST_PAUSE_SECONDS * 2**attempt * (0.5 + ambient.random.random()))
            continue
        return True
    raise AssertionError("unreachable")
