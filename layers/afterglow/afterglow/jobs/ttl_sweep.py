"""Expired records: deleted, so that folds and merges give their space back.

1. Look at the state, which says when the first record of the checkpoint expires (`Collection.expires`; what the log has
   after it is folded soon). Not yet: done.
2. Choose expired records in a view and append their deletion as the very next entry. Where another entry came first,
   choose again: a record whose expiry was put off meanwhile stays. *Crash after: they are deleted.*
3. Fold, which says in the state when the next one expires. Where there was nothing to delete, as after a change of the
   collection's key, the state is told here.

Nobody sees a difference: what is deleted was not visible any more. It may be done by several at once.
"""

from dataclasses import replace
from uuid import UUID

import numpy as np

from afterglow.catalog import Catalog, collections, ttl
from afterglow.catalog.model import Collection
from afterglow.catalog.ttl import NextExpiry
from afterglow.collection.replica import ttl_filter
from afterglow.collection.replica.replica import Replica, Snapshot
from afterglow.collection.replica.ttl_filter import NEVER
from afterglow.collection.write import write_path
from afterglow.collection.write.write_path import LogEnd
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores

_MOST = 10_000
_ATTEMPTS = 20


def is_due(state: Collection, now: float) -> bool:
    """Whether a record of the checkpoint may have expired by `now`, in Unix seconds."""
    return state.next_expiry is not None and state.next_expiry <= now


def collections_due(stores: Stores) -> list[UUID]:
    """The collections with something to delete. Reads every state."""
    now = stores.system.now()
    everyone = list(Catalog(stores.table, stores.system).collections())
    return [each.id for each in collections.by_ids(stores.table, everyone) if is_due(each, now)]


def next_expiry(view: Snapshot) -> NextExpiry | None:
    """When the first record of a view expires; None where the collection has no key for that."""
    key = ttl.ttl_key(view.collection.metadata)
    if key is None:
        return None
    first = min((ttl_filter.next_expiry(live, key) for live in view.row_groups), default=NEVER)
    return NextExpiry(key, None if first == NEVER else first)


def delete_expired(stores: Stores, replica: Replica, view: Snapshot) -> int:
    """Delete what has expired, at most `_MOST` records; how many. None too where others write without a pause.

    `view` is the replica's last.

    Raises NotFound, Corrupt, Unavailable, StorageFull.
    """
    for _ in range(_ATTEMPTS):
        if not is_due(view.collection, view.as_of):
            return 0
        chosen = _expired_ids(view)
        if not chosen:
            _note(stores, view)
            return 0
        batch = Batch(Op.DELETE, chosen)
        if write_path.append_exactly_at(
            stores, LogEnd(), view.collection.id, batch, view.applied_seq + 1, ops=view.applied_ops
        ):
            return len(chosen)
        view = replica.snapshot()
    return 0


def _expired_ids(view: Snapshot) -> list[str]:
    chosen: list[str] = []
    expiry = view.expiry
    for live in view.row_groups:
        gone = None if expiry is None else ttl_filter.expired_rows(live, expiry)
        if gone is not None:
            rows = np.flatnonzero(gone if live.deleted is None else gone & ~live.deleted)[: _MOST - len(chosen)]
            chosen.extend((each or b"").decode() for each in live.rows.ids.take(rows))
    return chosen


def _note(stores: Stores, view: Snapshot) -> None:
    """Say in the state when the first record expires, where it says so of the view's very checkpoint."""
    first = next_expiry(view)
    if view.applied_seq > view.manifest.flushed_seq or first is None:
        return  # the fold says it

    def edit(present: Collection) -> Collection | None:
        is_same = present.manifest_key == view.collection.manifest_key
        return replace(present, next_expiry=ttl.expires(present, first)) if is_same else None

    collections.update(stores.table, view.collection.id, edit)
