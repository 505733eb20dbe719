"""The TTL sweep deletes expired records, so that flushes and compactions reclaim their space.

1. Read the state, which has the time of the first expiry in the checkpoint (`Collection.next_expiry`). If that time has
   not been reached, stop. (Entries after the checkpoint are flushed soon, and checked then.)
2. Select expired records in a snapshot and append their deletion as the very next entry. If another entry came first,
   select again: a record whose expiry was extended meanwhile stays. *Crash after: they are deleted.*
3. Flush, which stores the next expiry in the state. If there was nothing to delete, as after a change of the TTL key of
   the collection, update the state directly.

Readers see no difference: expired records are already invisible. Several processes may sweep concurrently.
"""

from dataclasses import replace
from uuid import UUID

import numpy as np

from afterglow.catalog import Catalog, collections, ttl
from afterglow.catalog.model import Collection
from afterglow.catalog.ttl import NextExpiry
from afterglow.collection.replica import ttl_filter
from afterglow.collection.replica.replica import Replica
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.replica.ttl_filter import NEVER
from afterglow.collection.write import write_path
from afterglow.collection.write.hold import is_held
from afterglow.collection.write.log_end import LogEnd
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores

_MAX_DELETIONS = 10_000
_ATTEMPTS = 20


def is_due(state: Collection, now: float) -> bool:
    """Whether a record of the checkpoint may have expired by `now`, in Unix seconds."""
    return state.next_expiry is not None and state.next_expiry <= now


def collections_due(stores: Stores) -> list[UUID]:
    """The collections with expired records. Reads every state."""
    now = stores.system.now()
    collection_ids = list(Catalog(stores.table, stores.system).collections())
    return [state.id for state in collections.by_ids(stores.table, collection_ids) if is_due(state, now)]


def next_expiry(snapshot: Snapshot) -> NextExpiry | None:
    """When the first record of a snapshot expires; None if the collection has no TTL key."""
    key = ttl.ttl_key(snapshot.collection.metadata)
    if key is None:
        return None
    first = min((ttl_filter.next_expiry(group, key) for group in snapshot.row_groups), default=NEVER)
    return NextExpiry(key, None if first == NEVER else first)


def delete_expired(stores: Stores, replica: Replica, snapshot: Snapshot) -> int:
    """Delete at most `_MAX_DELETIONS` expired records and return their number.

    It is 0 also if other writers append faster than this can select, or while writes are held. `snapshot` is the latest
    of the replica. Raises NotFound, Corrupt, Unavailable, StorageFull.
    """
    for _ in range(_ATTEMPTS):
        if not is_due(snapshot.collection, snapshot.as_of) or is_held(stores, snapshot.collection.held_until):
            return 0
        ids = _expired_ids(snapshot)
        if not ids:
            _update_next_expiry(stores, snapshot)
            return 0
        batch = Batch(Op.DELETE, ids)
        if write_path.append_after(stores, LogEnd(), snapshot.collection.id, [batch], snapshot.log_position):
            return len(ids)
        snapshot = replica.snapshot()
    return 0


def _expired_ids(snapshot: Snapshot) -> list[str]:
    ids: list[str] = []
    expiry = snapshot.expiry
    for group in snapshot.row_groups:
        expired = None if expiry is None else ttl_filter.expired_rows(group, expiry)
        if expired is not None:
            rows = np.flatnonzero(expired if group.deleted is None else expired & ~group.deleted)[
                : _MAX_DELETIONS - len(ids)
            ]
            ids.extend((value or b"").decode() for value in group.rows.ids.take(rows))
    return ids


def _update_next_expiry(stores: Stores, snapshot: Snapshot) -> None:
    """Store the next expiry in the state, if its checkpoint is still that of the snapshot."""
    first = next_expiry(snapshot)
    if snapshot.applied_seq > snapshot.manifest.flushed_seq or first is None:
        return  # the next flush stores it

    def edit(existing: Collection) -> Collection | None:
        is_current = existing.manifest_key == snapshot.collection.manifest_key
        return replace(existing, next_expiry=ttl.expires(existing, first)) if is_current else None

    collections.update(stores.table, snapshot.collection.id, edit)
