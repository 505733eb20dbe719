"""Reading the entries of a log (protocol: `afterglow.log`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import keys
from afterglow.errors import Corrupt
from afterglow.log import entry as entries
from afterglow.log import payload as payloads
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, EntryKind
from afterglow.storage.ports import Item, Stores, Table

_FETCH_GROUP = 64
_GROUP_BYTES = 64 * 1024 * 1024
"""Batches fetched in parallel: as many objects, or of as many bytes."""


class LogTrimmed(Exception):
    """The requested entries are flushed and trimmed: restart from the checkpoint."""


@dataclass(frozen=True, slots=True)
class LogSlice:
    """The entries after a reader's position, and the `STATE` item (None: no collection).

    `trimmed`: some of them are missing or placeholders, so this reader cannot use `entries`.
    """

    entries: list[Entry]
    state: Item | None
    trimmed: bool


def read_after(table: Table, collection_id: UUID, seq: int) -> LogSlice:
    """Everything after entry `seq`, in one strongly consistent query."""
    items = table.query(keys.collection(collection_id), after=entries.key(seq))
    state = items.pop() if items and items[-1].sk == keys.STATE else None
    decoded = [entries.decode(item) for item in items]
    expected = range(seq + 1, seq + 1 + len(decoded))
    if any(entry.seq != number for entry, number in zip(decoded, expected, strict=True)):
        return LogSlice([], state, trimmed=True)
    return LogSlice(decoded, state, trimmed=any(entry.kind is EntryKind.PLACEHOLDER for entry in decoded))


@dataclass(frozen=True, slots=True)
class LogRun:
    """Consecutive batches after a reader's position, up to the first entry that is trimmed, missing or the seal.

    `has_more`: there are entries after them, trimmed or not. `state` is the `STATE` item; None: there is no collection,
    or the query ended before it (then `has_more`).
    """

    entries: list[Entry]
    has_more: bool
    state: Item | None


def read_run(table: Table, collection_id: UUID, seq: int, limit: int) -> LogRun:
    """At most `limit` entries after entry `seq`, and the state if that is all, in one strongly consistent query."""
    items = table.query(keys.collection(collection_id), after=entries.key(seq), limit=limit)
    state = items.pop() if items and items[-1].sk == keys.STATE else None
    run: list[Entry] = []
    for entry in map(entries.decode, items):
        if entry.seq != seq + len(run) + 1 or entry.kind is not EntryKind.BATCH:
            break
        run.append(entry)
    return LogRun(run, len(items) > len(run) or len(items) == limit, state)


def last_entry(table: Table, collection_id: UUID) -> Entry | None:
    """The newest entry that still has an item, None in an empty log."""
    newest = table.query(
        keys.collection(collection_id), after=entries.BEFORE_ALL, before=entries.AFTER_ALL, limit=1, reverse=True
    )
    return entries.decode(newest[0]) if newest else None


def load_batches(
    stores: Stores, collection_id: UUID, entries: Sequence[Entry]
) -> Iterator[tuple[Entry, tuple[Batch, ...]]]:
    """Each entry with its batches, none where it is of another kind; fetches many objects at a time, in parallel.

    Raises LogTrimmed when an entry was flushed and trimmed meanwhile, Corrupt when it is damaged or lost.
    """
    for group in _groups(entries):
        batches = [entry for entry in group if entry.kind is EntryKind.BATCH]
        payload_keys = [entry.payload_key for entry in batches if entry.payload_key is not None]
        fetched = dict(zip(payload_keys, stores.objects.get_many(payload_keys), strict=True)) if payload_keys else {}
        for entry in group:
            if entry.kind is not EntryKind.BATCH:
                yield entry, ()
            else:
                payload = None if entry.payload_key is None else fetched.pop(entry.payload_key)
                yield entry, _decode(stores, collection_id, entry, payload)


def _groups(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    group: list[Entry] = []
    size = 0
    for entry in entries:
        if group and (len(group) == _FETCH_GROUP or size + entry.byte_size > _GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(entry)
        size += entry.byte_size
    if group:
        yield group


def _decode(stores: Stores, collection_id: UUID, entry: Entry, payload: bytes | None) -> tuple[Batch, ...]:
    name = f"log entry {entry.seq} of collection {collection_id}"
    if entry.payload is not None:
        return payloads.decode(entry.payload, name)
    if entry.payload_key is None:
        raise Corrupt(f"{name} has no batch")
    if payload is None:
        current = stores.table.get(keys.collection(collection_id), entries.key(entry.seq))
        if current is None or entries.decode(current).kind is EntryKind.PLACEHOLDER:
            raise LogTrimmed
        raise Corrupt(f"{name} is lost: object {entry.payload_key} is missing; restore it from a backup")
    return payloads.decode(payload, f"{name} (object {entry.payload_key})")
