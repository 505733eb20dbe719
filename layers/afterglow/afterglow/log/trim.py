"""Replacing flushed entries with placeholders, and deleting placeholders (protocol: `afterglow.log`).

Batches in objects stay: time travel reads them, and forks may refer to them. Garbage collection deletes them.
"""

from collections.abc import Iterator, Set
from uuid import UUID

from afterglow.catalog import keys
from afterglow.log import entry as entries
from afterglow.log.entry import Entry, EntryKind
from afterglow.storage.ports import Delete, Put, Stores, Table

_PAGE = 100


def trim(stores: Stores, collection_id: UUID, after: int, up_to: int) -> int:
    """Replace the entries after number `after` up to `up_to` with placeholders; return how many were replaced.

    *Crash midway: some entries are placeholders; the next trim replaces the rest.*
    """
    pk, replaced, position = keys.collection(collection_id), 0, entries.key(after)
    while page := stores.table.query(pk, after=position, before=entries.key(up_to + 1), limit=_PAGE):
        position = page[-1].sk
        batches = [entry for entry in map(entries.decode, page) if entry.kind is EntryKind.BATCH]
        stores.table.put_many(
            [Put(pk, entries.key(entry.seq), entries.encode(entries.placeholder_for(entry))) for entry in batches]
        )
        replaced += len(batches)
    return replaced


def delete_placeholders(stores: Stores, collection_id: UUID, up_to: int, stored: Set[str] = frozenset()) -> int:
    """Delete the placeholders up to number `up_to`, except those that name one of the `stored` objects; how many.

    Only where every append checks the state (`has_cheap_transactions`): elsewhere a placeholder must stay, as nothing
    else keeps a delayed writer from taking its number.
    """
    if not stores.table.has_cheap_transactions:
        return 0
    pk, removed, position = keys.collection(collection_id), 0, entries.BEFORE_ALL
    while page := stores.table.query(pk, after=position, before=entries.key(up_to + 1), limit=_PAGE):
        position = page[-1].sk
        decoded = [entry for entry in map(entries.decode, page) if entry.kind is EntryKind.PLACEHOLDER]
        useless = [entry for entry in decoded if entry.payload_key is None or entry.payload_key not in stored]
        if useless:
            stores.table.transact([Delete(pk, entries.key(entry.seq)) for entry in useless])
        removed += len(useless)
    return removed


def placeholders_back_to(table: Table, collection_id: UUID, up_to: int, time: int) -> Iterator[Entry]:
    """The placeholders up to number `up_to`, the newest first, back to the first one from before `time` (Unix ms)."""
    pk, position = keys.collection(collection_id), entries.key(up_to + 1)
    while page := table.query(pk, after=entries.BEFORE_ALL, before=position, limit=_PAGE, reverse=True):
        position = page[-1].sk
        for entry in map(entries.decode, page):
            if entry.appended_at < time:
                return
            if entry.kind is EntryKind.PLACEHOLDER:
                yield entry
