"""Replacing flushed entries with placeholders, and deleting expired placeholders (protocol: `afterglow.log`).

Batches in objects stay: time travel reads them, and forks may refer to them. Garbage collection deletes them.
"""

from uuid import UUID

from afterglow.catalog import keys
from afterglow.log import entry as entries
from afterglow.log.entry import EntryKind
from afterglow.storage.ports import Put, Stores

_PAGE = 200


def trim(stores: Stores, collection_id: UUID, after: int, up_to: int) -> int:
    """Replace the entries after number `after` up to `up_to` with placeholders; return how many were replaced.

    *Crash midway: some entries are placeholders; the next trim replaces the rest.*
    """
    pk, replaced, position = keys.collection(collection_id), 0, entries.key(after)
    expires_at = int(stores.system.now()) + stores.settings.log_placeholder_ttl_seconds
    while page := stores.table.query(pk, after=position, before=entries.key(up_to + 1), limit=_PAGE):
        position = page[-1].sk
        batches = [entry for entry in map(entries.decode, page) if entry.kind is EntryKind.BATCH]
        stores.table.put_many(
            [
                Put(pk, entries.key(entry.seq), entries.encode(entries.placeholder_for(entry)), expires_at=expires_at)
                for entry in batches
            ]
        )
        replaced += len(batches)
    return replaced


def delete_expired_placeholders(stores: Stores, collection_id: UUID) -> int:
    """Delete expired placeholders, as DynamoDB's TTL does by itself; return how many."""
    pk, now, removed = keys.collection(collection_id), stores.system.now(), 0
    while page := stores.table.query(pk, after=entries.BEFORE_ALL, before=entries.AFTER_ALL, limit=_PAGE):
        expired = [item for item in page if item.expires_at is not None and item.expires_at < now]
        for item in expired:
            stores.table.delete(pk, item.sk)
        removed += len(expired)
        if len(expired) < len(page):  # entries are trimmed in order, so they expire in order
            break
    return removed
