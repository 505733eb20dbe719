"""Replacing folded entries by stubs, and removing stubs that are past their time (protocol: `afterglow.log`).

Batches that lie in objects stay: the past is read from them, and forks may name them. Garbage collection takes them.
"""

from uuid import UUID

from afterglow.catalog import keys
from afterglow.log import entry as entries
from afterglow.log.entry import EntryKind
from afterglow.storage.ports import Put, Stores

_PAGE = 200


def trim(stores: Stores, collection_id: UUID, after: int, up_to: int) -> int:
    """Turn the entries after number `after` up to `up_to` into stubs; how many were turned.

    *Crash midway: some entries are stubs; the next trim does the rest.*
    """
    pk, turned, position = keys.collection(collection_id), 0, entries.key(after)
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
        turned += len(batches)
    return turned


def delete_expired_placeholders(stores: Stores, collection_id: UUID) -> int:
    """Remove stubs past their time, as DynamoDB's TTL does by itself; how many."""
    pk, now, removed = keys.collection(collection_id), stores.system.now(), 0
    while page := stores.table.query(pk, after=entries.BEFORE_ALL, before=entries.AFTER_ALL, limit=_PAGE):
        past = [item for item in page if item.expires_at is not None and item.expires_at < now]
        for item in past:
            stores.table.delete(pk, item.sk)
        removed += len(past)
        if len(past) < len(page):  # entries were trimmed in order, so they expire in order
            break
    return removed
