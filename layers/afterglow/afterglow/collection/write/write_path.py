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

A delete by filter depends on the records: it is evaluated on a snapshot and must become the very next log entry;
otherwise it is evaluated again.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from afterglow.catalog import collections, schema, ttl
from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.collection.types import CountResult, LogPosition, Scope, require_in_scope
from afterglow.collection.write import readable
from afterglow.collection.write.read_condition import ReadCondition
from afterglow.collection.write.recent_writes import RecentWrites
from afterglow.columns.column import ColumnType
from afterglow.errors import Busy, Unavailable, WrongDimension
from afterglow.log import append
from afterglow.log import read as log
from afterglow.log.append import PendingEntry
from afterglow.log.batch import Batch, Op
from afterglow.log.entry import Entry, EntryKind, advance_log_time
from afterglow.metering import phase
from afterglow.retry import Backoff, attempts, contended_attempts
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import Stores, Write

_log = logging.getLogger(__name__)

MAX_APPENDS = 64
"""Puts of one write, and so what it may cost."""
_SEALS = Backoff(max_attempts=200, first=0.0, last=0.0)
"""Seal again at once: writers pause after a conflict, so the seal wins soon."""
_REREADS = Backoff(max_attempts=10, first=0.0, last=0.0)
"""Read again at once: a flush trimmed the log between two reads."""
_RETRY_AFTER_SECONDS = 2.0


class LogEnd:
    """The cached state of one collection and end of its log; guarded by `lock`.

    They were current at `observed_at` (monotonic seconds). `seq` is the number of the last entry, `total_ops` the
    operations up to there, `log_time` the log's time there (Unix milliseconds); `recent` are the entries before it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.collection: Collection | None = None
        self.seq = 0
        self.total_ops = 0
        self.log_time = 0
        self.observed_at = float("-inf")
        self.recent = RecentWrites()

    @property
    def unflushed_ops(self) -> int:
        """Operations that wait to be flushed, as of the cached state."""
        return self.total_ops - (0 if self.collection is None else self.collection.flushed_ops)

    def advance(self, entry: Entry, observed_at: float, batches: Sequence[Batch] | None = None) -> None:
        """Count the entry that follows, with its batches if it is our own."""
        ids = None if batches is None else [name for batch in batches for name in batch.ids]
        self.recent.append(entry, ids)
        self.seq, self.observed_at = entry.seq, observed_at
        self.total_ops += entry.op_count
        self.log_time = advance_log_time(self.log_time, entry)


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
        collection = require_in_scope(scope, _cached_state(stores, end, scope))
        if condition is not None:
            collection = _check_condition(stores, end, collection, condition)
        if batches:
            _prepare_state(stores, end, collection, batches)
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
        collection = _catch_up(stores, end, collection.id)
    condition.check(end.seq, end.recent.between(condition.checked, end.seq))
    return collection


def known_collection(stores: Stores, end: LogEnd, scope: Scope) -> Collection:
    """The collection as the next write will see it: read now if this process has not, so that the write need not.

    Raises NotFound, Busy.
    """
    with end.lock:
        return require_in_scope(scope, _cached_state(stores, end, scope))


def observe(end: LogEnd, collection: Collection) -> None:
    """Cache a state that was just read or written, if it is newer than the cached one."""
    with end.lock:
        if end.collection is not None and end.collection.version < collection.version:
            end.collection = collection


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

    Raises Unavailable, StorageFull.
    """
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
    _notify_if_due(stores, collection_id, entry.seq, after.ops, entry.op_count)
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


def _cached_state(stores: Stores, end: LogEnd, scope: Scope) -> Collection:
    """The cached collection; read again if there is none, or if the cached log end may be outdated."""
    settings = stores.settings
    # A purge deletes the seal of a dropped collection. Half of the seal's lifetime is a margin for the time between
    # this check and the put.
    max_age = min(settings.log_end_cache_seconds, settings.log_seal_ttl_seconds / 2)
    is_fresh = stores.system.monotonic() - end.observed_at < max_age
    if end.collection is None or not is_fresh:
        return _reload(stores, end, scope.collection, scope)
    return end.collection


def _reload(stores: Stores, end: LogEnd, collection_id: UUID, scope: Scope | None = None) -> Collection:
    """Read the collection (in the scope, if any) and the end of its log without the cache. Raises NotFound, Busy."""
    end.collection = None
    for _ in attempts(stores.system, _REREADS):
        collection = collections.require(stores.table, collection_id)
        if scope is not None:
            require_in_scope(scope, collection)
        log_slice = log.read_after(stores.table, collection_id, collection.flushed_seq)
        if not log_slice.trimmed:
            if not readable.is_readable(stores, collection, log_slice.entries):
                continue
            end.seq, end.total_ops = collection.flushed_seq, collection.flushed_ops
            key = collection.manifest_key
            end.log_time = 0 if key is None else manifests.parse_key(key).log_time
            return _record(stores, end, collection, log_slice.entries)
    raise Busy(f"the log of collection {collection_id} is being flushed too fast to follow", _RETRY_AFTER_SECONDS)


def _catch_up(stores: Stores, end: LogEnd, collection_id: UUID) -> Collection:
    """Read the entries after the cached end, and the collection. Raises NotFound."""
    log_slice = log.read_after(stores.table, collection_id, end.seq)
    collection = collections.require_live(log_slice.state, collection_id)
    # Deleted placeholders at the end of the log leave no visible gap.
    is_short = end.seq + len(log_slice.entries) < collection.flushed_seq
    if log_slice.trimmed or is_short:
        return _reload(stores, end, collection_id)
    return _record(stores, end, collection, log_slice.entries)


def _record(stores: Stores, end: LogEnd, collection: Collection, entries: Sequence[Entry]) -> Collection:
    if any(entry.kind is EntryKind.SEAL for entry in entries):
        end.collection = None
        raise collections.not_found(collection.id)
    end.collection = collection
    end.observed_at = stores.system.monotonic()
    for entry in entries:
        end.advance(entry, end.observed_at)
    return collection


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
        # A read may have brought a newer state than the cached end of the log.
        if attempt > 1 or collection is None or end.seq < collection.flushed_seq:
            collection = _catch_up(stores, end, collection_id)
            _common_dimension(collection.dimension, batches)
            pending = replace(pending, entry=replace(pending.entry, ttl_key=ttl.ttl_key(collection.metadata)))
        if condition is not None:
            collection = _check_condition(stores, end, collection, condition)
        pending = append.stamp(stores, collection_id, pending, end.log_time)
        entry = replace(pending.entry, seq=end.seq + 1)
        if append.append_at(stores, collection_id, entry, entry.seq, collection.version, extra_writes=extra_writes):
            ops_before = end.total_ops
            end.advance(entry, stores.system.monotonic(), batches)
            _notify_if_due(stores, collection_id, entry.seq, ops_before, entry.op_count)
            return entry.seq
    raise too_many_writers(collection_id)


def _notify_if_due(stores: Stores, collection_id: UUID, seq: int, ops_before: int, ops: int) -> None:
    """Step 5, for entry `seq` with `ops` operations after `ops_before`."""
    every, every_entry = max(stores.settings.notify_every_ops, 1), max(stores.settings.notify_every_entries, 1)
    if (ops_before + ops) // every > ops_before // every or seq % every_entry == 0:
        notify_indexer(stores, collection_id, str(seq))


def notify_indexer(stores: Stores, collection_id: UUID, body: str) -> None:
    """Send the indexer a message. The write is durable already, so a queue failure must not fail the request."""
    try:
        stores.queue.send(str(collection_id), body)
    except (Busy, Unavailable) as error:
        _log.warning("could not notify the indexer of collection %s: %s", collection_id, error)


def _apply_backpressure(stores: Stores, end: LogEnd, collection_id: UUID) -> None:
    limit = stores.settings.max_unflushed_ops
    if end.unflushed_ops >= limit:
        _catch_up(stores, end, collection_id)
        if end.unflushed_ops >= limit:
            notify_indexer(stores, collection_id, f"{end.seq} behind")
            message = f"{end.unflushed_ops} operations wait to be indexed, the limit is {limit}: retry later"
            raise Busy(message, _RETRY_AFTER_SECONDS)


def prepare_state(stores: Stores, end: LogEnd, scope: Scope, batches: Sequence[Batch]) -> None:
    """Steps 1 and 2, for a write that is appended by `append_after`. Raises NotFound, WrongDimension, Busy."""
    with end.lock:
        collection = require_in_scope(scope, _cached_state(stores, end, scope))
        _prepare_state(stores, end, collection, batches)
        _apply_backpressure(stores, end, scope.collection)


def _prepare_state(stores: Stores, end: LogEnd, collection: Collection, batches: Sequence[Batch]) -> None:
    """Step 2: set the dimension and register metadata keys, if these batches are the first to have them."""
    keys = _metadata_types(batches)

    def edit(existing: Collection) -> Collection | None:
        dimension = _common_dimension(existing.dimension, batches)
        registered = schema.register(existing.schema, keys)
        if registered is None and dimension == existing.dimension:
            return None
        return replace(existing, dimension=dimension, schema=registered or existing.schema)

    if edit(collection) is not None:
        end.collection = collections.update(stores.table, collection.id, edit)


def _common_dimension(dimension: int | None, batches: Sequence[Batch]) -> int | None:
    """The dimension of the collection and of all batches that have vectors. Raises WrongDimension."""
    for batch in batches:
        given = batch.dimension
        if dimension is None:
            dimension = given
        elif given is not None and given != dimension:
            raise WrongDimension(dimension, given)
    return dimension


def _metadata_types(batches: Sequence[Batch]) -> dict[str, set[str]]:
    """The names of the value types of each metadata key in the batches."""
    metadatas = (
        metadata for batch in batches if batch.op is not Op.DELETE for metadata in batch.metadatas or () if metadata
    )
    types = {(key, _type_of(value)) for metadata in metadatas for key, value in metadata.items()}
    names: dict[str, set[str]] = {}
    for key, (value_type, is_list) in types:
        name = _TYPE_NAMES.get(value_type)
        if name is not None:
            names.setdefault(key, set()).add(f"{name}_list" if is_list else name)
    return names


def _type_of(value: object) -> tuple[type, bool]:
    if value.__class__ is list:
        return (value[0].__class__ if value else type(None)), True
    return value.__class__, False


_TYPE_NAMES: dict[type, str] = {
    bool: ColumnType.BOOL,
    int: ColumnType.INT,
    float: ColumnType.FLOAT,
    str: ColumnType.STR,
    dict: ColumnType.SPARSE,
}

Evaluate = Callable[[], tuple[LogPosition, list[str]]]
"""Returns the log position of a snapshot, and the ids that match in it."""


Admit = Callable[[], tuple[LogPosition, Batch]]
"""Returns the log position of a snapshot, and the batch that may be applied to it."""


def write_admitted(stores: Stores, end: LogEnd, scope: Scope, admit: Admit) -> int | None:
    """Append the batch of `admit` exactly after the log position that it was admitted at; None if nothing is left.

    Raises the errors of `write` and of `admit`.
    """
    for _ in contended_attempts(stores.system, MAX_APPENDS):
        position, batch = admit()
        if not batch.ids:
            return None
        if batch.op is not Op.DELETE:
            stores.objects.reserve_space()
        with end.lock:
            collection = require_in_scope(scope, _cached_state(stores, end, scope))
            _apply_backpressure(stores, end, scope.collection)
            _prepare_state(stores, end, collection, [batch])
        ttl_key = ttl.ttl_key(collection.metadata)
        if append_after(stores, end, scope.collection, [batch], position, ttl_key=ttl_key):
            return position.seq + 1
    raise too_many_writers(scope.collection)


def delete_where(stores: Stores, end: LogEnd, collection_id: UUID, evaluate: Evaluate) -> CountResult:
    """Delete the records that match in `evaluate`, exactly as of the log position of the delete. Raises Busy."""
    for _ in contended_attempts(stores.system, MAX_APPENDS):
        position, ids = evaluate()
        if not ids:
            return CountResult(0, position.seq)
        if append_after(stores, end, collection_id, [Batch(Op.DELETE, ids)], position):
            return CountResult(len(ids), position.seq + 1)
    raise too_many_writers(collection_id)
