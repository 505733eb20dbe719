"""Reading what was appended (protocol: `afterglow.log`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import keys
from afterglow.errors import Corrupt
from afterglow.log import batch as frames
from afterglow.log import entry as entries
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, EntryKind
from afterglow.storage.ports import Item, Stores, Table

_AT_ONCE = 8


class LogTrimmed(Exception):
    """The entries asked for are folded and gone: begin again from the checkpoint."""


@dataclass(frozen=True, slots=True)
class LogSlice:
    """What a log says to a reader: the entries it does not have yet, and the `STATE` item (None: no collection).

    `trimmed`: entries between are gone or stubs, so `entries` is of no use to this reader.
    """

    entries: list[Entry]
    state: Item | None
    trimmed: bool


def read_after(table: Table, collection_id: UUID, seq: int) -> LogSlice:
    """Everything after entry `seq`, in one strongly consistent query."""
    items = table.query(keys.collection(collection_id), after=entries.key(seq))
    state = items.pop() if items and items[-1].sk == keys.STATE else None
    found = [entries.decode(item) for item in items]
    expected = range(seq + 1, seq + 1 + len(found))
    if any(entry.seq != number for entry, number in zip(found, expected, strict=True)):
        return LogSlice([], state, trimmed=True)
    return LogSlice(found, state, trimmed=any(entry.kind is EntryKind.PLACEHOLDER for entry in found))


def read_state(table: Table, collection_id: UUID) -> Item | None:
    """The `STATE` item alone: where a reader that knows nothing begins, so as not to read what is folded."""
    return table.get(keys.collection(collection_id), keys.STATE)


def last_entry(table: Table, collection_id: UUID) -> Entry | None:
    """The newest entry that still has an item, or None."""
    newest = table.query(
        keys.collection(collection_id), after=entries.BEFORE_ALL, before=entries.AFTER_ALL, limit=1, reverse=True
    )
    return entries.decode(newest[0]) if newest else None


def load_batches(stores: Stores, collection_id: UUID, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Batch | None]]:
    """Each entry with its batch, None where it is of another kind; a few objects are fetched at a time.

    Raises Trimmed when an entry was folded meanwhile, Corrupt when it is damaged or lost.
    """
    for start in range(0, len(entries), _AT_ONCE):
        group = entries[start : start + _AT_ONCE]
        named = [entry.payload_key for entry in group if entry.payload_key is not None]
        found = dict(zip(named, stores.objects.get_many(named), strict=True)) if named else {}
        for entry in group:
            if entry.kind is not EntryKind.BATCH:
                yield entry, None
            else:
                yield (
                    entry,
                    _decoded(
                        stores,
                        collection_id,
                        entry,
                        None if entry.payload_key is None else found.pop(entry.payload_key),
                    ),
                )


def _decoded(stores: Stores, collection_id: UUID, entry: Entry, frame: bytes | None) -> Batch:
    name = f"log entry {entry.seq} of collection {collection_id}"
    if entry.payload is not None:
        return frames.decode(entry.payload, name)
    if entry.payload_key is None:
        raise Corrupt(f"{name} has no batch")
    if frame is None:
        present = stores.table.get(keys.collection(collection_id), entries.key(entry.seq))
        if present is None or entries.decode(present).kind is EntryKind.PLACEHOLDER:
            raise LogTrimmed
        raise Corrupt(f"{name} is lost: object {entry.payload_key} is missing; restore it from a backup")
    return frames.decode(frame, f"{name} (object {entry.payload_key})")
