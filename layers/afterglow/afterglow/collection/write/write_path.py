"""The write path: from a validated batch to a durable log entry.

1. Check the batch against the cached state. The first write of a process also checks that readers can open the
   collection (`collection.write.readable`): a write that nobody can read is not acknowledged.
2. If it has the first embedding, or new metadata keys, put them into the state first (a conditional put; the loser of
   a race for the dimension gets the dimension error). *Crash after: a collection with a dimension and no records;
   harmless.*
3. Append at the cached end of the log with a conditional put (optimistic concurrency: Kung & Robinson 1981), never at a
   number that the cached state counts as flushed (`afterglow.log`). Without contention that is one put and no read.
4. If another writer was first: after a pause (`retry.contended_pause`) read the appended entries, check the write
   again, and try the next number. The read comes last, because the log grows during the pause, and a refused put costs
   five times as much as a read.
5. Notify the indexer if the entry takes the log past a multiple of `notify_every_ops` or `notify_every_entries`:
   exactly one of all writers, on any machine, does so. *Crash before, or the queue is unavailable: the next multiple,
   or the maintenance job, notifies.*

Writes that depend on records are evaluated on a snapshot and must become the very next log entry; otherwise they are
evaluated again. These are deletes by filter, writes under a restriction, and transactions that need a snapshot.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from afterglow.catalog import state as states
from afterglow.catalog import ttl
from afterglow.catalog.model import Collection
from afterglow.collection.types import CountResult, LogPosition, Scope, require_in_scope
from afterglow.collection.write.hold import is_held, require_not_held
from afterglow.collection.write.log_end import LogEnd, cached_state, catch_up
from afterglow.collection.write.notification import notify_if_due, notify_indexer
from afterglow.collection.write.read_condition import ReadCondition
from afterglow.collection.write.registration import common_dimension, register
from afterglow.errors import Busy
from afterglow.log import append
from afterglow.log import read as log
from afterglow.log.append import PendingEntry
from afterglow.log.batch import Batch, Op
from afterglow.log.entry import EntryKind
from afterglow.metering import phase
from afterglow.retry import Backoff, attempts, contended_attempts
from afterglow.storage.ports import Stores, Write

MAX_APPENDS = 64
"""Puts of one write, and so what it may cost."""
_SEALS = Backoff(max_attempts=200, first=0.0, last=0.0)
"""Seal again at once: writers pause after a conflict, so the seal wins soon."""
_RETRY_AFTER_SECONDS = 2.0


def write(
    stores: Stores,
    end: LogEnd,
    scope: Scope,
    batches: Sequence[Batch],
    *,
    extra_writes: Sequence[Write] = (),
    condition: ReadCondition | None = None,
) -> int | None:
    """Make adds, updates, upserts and deletes by ids durable, as one entry; its number, None for no ids.

    `extra_writes` are written in one table transaction with the entry. Raises NotFound, WrongDimension, Busy,
    Unavailable, ConditionFailed if the condition of an extra write fails, and what `condition` raises, which is checked
    against all entries before the new one: in each case nothing is written.
    """
    assert scope.restriction is None, "writes under a restriction are admitted"
    collection_id = scope.collection
    batches = [batch for batch in batches if batch.ids]
    if any(batch.op is not Op.DELETE for batch in batches):
        stores.objects.reserve_space()
    with end.lock:
        collection = require_in_scope(scope, cached_state(stores, end, scope))
        if condition is not None:
            collection = _check_condition(stores, end, collection, condition)
        if batches:
            end.collection = register(stores.table, collection, batches)
        log_time = end.log_time
    if not batches:
        return None
    with phase("store"):
        pending = append.prepare(
            stores,
            collection_id,
            batches,
            ttl_key=ttl.ttl_key(collection.metadata),
            log_time=log_time,
            nonce=None if condition is None else condition.nonce,
        )
    with end.lock, phase("append"):
        return _append(stores, end, collection_id, pending, batches, extra_writes=extra_writes, condition=condition)


def _check_condition(stores: Stores, end: LogEnd, collection: Collection, condition: ReadCondition) -> Collection:
    """Check the condition at the end of the log; the collection, read again if the cached end is before the reads."""
    if end.seq < condition.position:
        collection = catch_up(stores, end, collection.id)
    condition.check(end.seq, end.recent.between(condition.checked, end.seq))
    return collection


def append_after(
    stores: Stores,
    end: LogEnd,
    collection_id: UUID,
    batches: Sequence[Batch],
    after: LogPosition,
    *,
    ttl_key: str | None = None,
    nonce: str | None = None,
) -> bool:
    """Append the batches as the very next entry after a position; False if that is no longer the end of the log.

    Raises Busy while writes are held, Unavailable, StorageFull.
    """
    require_not_held(stores, collection_id, after.held_until)
    pending = append.prepare(stores, collection_id, batches, ttl_key=ttl_key, log_time=after.log_time, nonce=nonce)
    with end.lock:
        pending = append.stamp(stores, collection_id, pending, after.log_time)
        entry = replace(pending.entry, seq=after.seq + 1)
        if not append.append_at(stores, collection_id, entry, entry.seq, after.state_version):
            if entry.payload_key is not None:
                stores.objects.delete(entry.payload_key)
            return False
        if end.seq == after.seq:
            end.advance(entry, stores.system.monotonic(), batches)
    notify_if_due(stores, collection_id, entry.seq, after.ops, entry.op_count)
    return True


def too_many_writers(collection_id: UUID) -> Busy:
    """The error of a write that lost every attempt to append to others."""
    return Busy(f"collection {collection_id} is being written by too many at once", _RETRY_AFTER_SECONDS)


def seal_log(stores: Stores, collection_id: UUID) -> None:
    """Seal the log of a dropped collection: no entry can follow. Idempotent. Raises Busy."""
    entry = append.seal_entry(stores.system)
    for _ in attempts(stores.system, _SEALS):
        last = log.last_entry(stores.table, collection_id)
        if last is not None and last.kind is EntryKind.SEAL:
            return
        item = log.read_after(stores.table, collection_id, 0 if last is None else last.seq).state
        flushed_seq = 0 if item is None else states.decode(item).flushed_seq
        seq = max(flushed_seq, 0 if last is None else last.seq) + 1
        # Nobody flushes a dropped collection, and an unfinished fork has no state.
        if append.append_at(stores, collection_id, entry, seq, None):
            return
    raise too_many_writers(collection_id)


def _append(
    stores: Stores,
    end: LogEnd,
    collection_id: UUID,
    pending: PendingEntry,
    batches: Sequence[Batch],
    *,
    extra_writes: Sequence[Write],
    condition: ReadCondition | None,
) -> int:
    for attempt in contended_attempts(stores.system, MAX_APPENDS):
        _apply_backpressure(stores, end, collection_id)
        collection = end.collection
        # A read may have brought a newer state than the cached end of the log; and a hold may have been released.
        is_current = collection is not None and end.seq >= collection.flushed_seq
        if attempt > 1 or collection is None or not is_current or is_held(stores, collection.held_until):
            collection = catch_up(stores, end, collection_id)
            common_dimension(collection.dimension, batches)
            pending = replace(pending, entry=replace(pending.entry, ttl_key=ttl.ttl_key(collection.metadata)))
        require_not_held(stores, collection_id, collection.held_until)
        if condition is not None:
            collection = _check_condition(stores, end, collection, condition)
        pending = append.stamp(stores, collection_id, pending, end.log_time)
        entry = replace(pending.entry, seq=end.seq + 1)
        if append.append_at(stores, collection_id, entry, entry.seq, collection.version, extra_writes=extra_writes):
            ops_before = end.total_ops
            end.advance(entry, stores.system.monotonic(), batches)
            notify_if_due(stores, collection_id, entry.seq, ops_before, entry.op_count)
            return entry.seq
    raise too_many_writers(collection_id)


def _apply_backpressure(stores: Stores, end: LogEnd, collection_id: UUID) -> None:
    limit = stores.settings.max_unflushed_ops
    if end.unflushed_ops >= limit:
        catch_up(stores, end, collection_id)
        if end.unflushed_ops >= limit:
            notify_indexer(stores, collection_id, f"{end.seq} behind")
            message = f"{end.unflushed_ops} operations wait to be indexed, the limit is {limit}: retry later"
            raise Busy(message, _RETRY_AFTER_SECONDS)


def prepare_state(stores: Stores, end: LogEnd, scope: Scope, batches: Sequence[Batch]) -> Collection:
    """Steps 1 and 2, for a write that is appended by `append_after`; the state then.

    Raises NotFound, WrongDimension, Busy.
    """
    with end.lock:
        collection = require_in_scope(scope, cached_state(stores, end, scope))
        end.collection = register(stores.table, collection, batches)
        _apply_backpressure(stores, end, scope.collection)
        return end.collection


EvaluateBatches = Callable[[], tuple[LogPosition, list[Batch]]]
"""Returns the log position of a snapshot, and the batches that may be applied to it."""


EvaluateDelete = Callable[[], tuple[LogPosition, list[str]]]
"""Returns the log position of a snapshot, and the ids that match in it."""


def write_evaluated(
    stores: Stores, end: LogEnd, scope: Scope, evaluate: EvaluateBatches, nonce: str | None = None
) -> CountResult:
    """Append the batches of `evaluate` exactly after the log position that they were evaluated at.

    The result is the number of their records and the entry, None if nothing is left. Raises the errors of `write` and
    of `evaluate`.
    """
    with end.lock:  # evaluating may be a large read, which overload should not add to
        require_in_scope(scope, cached_state(stores, end, scope))
        _apply_backpressure(stores, end, scope.collection)
    for _ in contended_attempts(stores.system, MAX_APPENDS):
        position, batches = evaluate()
        if not batches:
            return CountResult(0, None)
        if any(batch.op is not Op.DELETE for batch in batches):
            stores.objects.reserve_space()
        ttl_key = ttl.ttl_key(prepare_state(stores, end, scope, batches).metadata)
        if append_after(stores, end, scope.collection, batches, position, ttl_key=ttl_key, nonce=nonce):
            return CountResult(sum(len(batch.ids) for batch in batches), position.seq + 1)
    raise too_many_writers(scope.collection)


def delete_where(stores: Stores, end: LogEnd, collection_id: UUID, evaluate: EvaluateDelete) -> CountResult:
    """Delete the records that match in `evaluate`, exactly as of the log position of the delete. Raises Busy."""
    for _ in contended_attempts(stores.system, MAX_APPENDS):
        position, ids = evaluate()
        if not ids:
            return CountResult(0, position.seq)
        if append_after(stores, end, collection_id, [Batch(Op.DELETE, ids)], position):
            return CountResult(len(ids), position.seq + 1)
    raise too_many_writers(collection_id)
