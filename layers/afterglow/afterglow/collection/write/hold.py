"""Refuses all writes to a collection for a bounded moment, so that another one can catch up with it and replace it.

1. *Hold*: in one transaction, put `held_until` into the state, and at the end of the log an entry without operations.
   *Before: nothing. After: a writer that does not know the state loses the race for the number of that entry, reads the
   state, and is refused.*
2. The holder does its work.
3. *Release*: put `held_until` back to 0. *Crash before: the hold ends by itself.*

A hold protects nothing: a writer whose clock is ahead may append during it. So what the holder does is on condition of
the end of the log all the same, and a hold only makes it sure that the holder is first.
"""

from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from afterglow.catalog import collections, keys, ttl
from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.collection.types import Scope
from afterglow.collection.write.log_end import LogEnd, cached_state, catch_up
from afterglow.errors import Busy, NotFound
from afterglow.log import append
from afterglow.log.batch import Batch, Op
from afterglow.retry import Backoff, attempts
from afterglow.storage.clock import earliest_now, latest_now
from afterglow.storage.ports import Put, Stores

MAX_SECONDS = 600.0
"""Of one hold. One that seems to last longer was dated by another clock, and is ignored."""
_HOLDS = Backoff(max_attempts=200, first=0.0, last=0.0)
"""Hold again at once: writers pause after a conflict, so the hold wins soon."""
_RETRY_AFTER_SECONDS = 1.0


def hold(stores: Stores, scope: Scope, seconds: float) -> None:
    """Refuse writes to the collection for so many seconds, at most `MAX_SECONDS`.

    Raises NotFound, Busy if writers win every race, Unavailable.
    """
    collection_id, end = scope.collection, LogEnd()
    pk = keys.collection(collection_id)
    collection = cached_state(stores, end, scope)
    for attempt in attempts(stores.system, _HOLDS):
        if attempt > 1:
            collection = catch_up(stores, end, collection_id)
        nothing = [Batch(Op.DELETE, [])]
        pending = append.prepare(stores, collection_id, nothing, ttl_key=ttl.ttl_key(collection.metadata))
        entry = append.stamp(stores, collection_id, pending, end.log_time).entry
        until = earliest_now(stores.table, stores.system) + min(seconds, MAX_SECONDS)
        held = states.encode(replace(collection, held_until=until))
        state = Put(pk, keys.STATE, held, if_version=collection.version)
        if append.append_at(stores, collection_id, entry, end.seq + 1, None, extra_writes=[state]):
            return
    raise Busy(f"collection {collection_id} is being written by too many at once", _RETRY_AFTER_SECONDS)


def release(stores: Stores, collection_id: UUID) -> None:
    """End the hold of a collection, if both are there. Raises Unavailable."""

    def edit(existing: Collection) -> Collection | None:
        return replace(existing, held_until=0.0) if existing.held_until else None

    with suppress(NotFound):
        collections.update(stores.table, collection_id, edit)


def is_held(stores: Stores, held_until: float) -> bool:
    """Whether a hold until then (Unix seconds) is in force."""
    return held_until > 0 and 0 < held_until - latest_now(stores.table, stores.system) <= MAX_SECONDS


def require_not_held(stores: Stores, collection_id: UUID, held_until: float) -> None:
    """Raises Busy if a hold until then is in force."""
    if is_held(stores, held_until):
        raise Busy(
            f"collection {collection_id} is about to be replaced, so it takes no writes for a moment: retry later",
            _RETRY_AFTER_SECONDS,
        )
