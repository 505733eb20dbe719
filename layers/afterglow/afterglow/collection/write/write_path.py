"""The write path: from a validated batch to a durable log entry.

1. Check the batch against the state known so far.
2. Where it brings the first embedding, or metadata keys not seen before, put them into the state first (a conditional
   put; the loser of a race for the dimension gets the dimension error). *Crash: a collection that knows its dimension
   and has no records; harmless.*
3. Append at the end of the log as known here. Unopposed, that is one put and no read.
4. Another writer was first: read what was appended, look again whether the write still makes sense, and try the next
   number after a jittered pause.
5. Nudge the indexer where the entry takes the log past a multiple of `notify_every_ops` or `notify_every_entries`: of all writers,
   on any machine, it is one that does. *Crash before, or no queue to be had: the next multiple, or the sweep, nudges.*

A delete by a filter depends on the records: it is evaluated on a view and must become the very next entry, or it is
evaluated again.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from afterglow.catalog import collections, schema, ttl
from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.collection.types import CountResult, Scope, require_in_scope
from afterglow.columns.column import ColumnType
from afterglow.errors import Busy, Unavailable, WrongDimension
from afterglow.log import append
from afterglow.log import read as log
from afterglow.log.append import PendingEntry
from afterglow.log.batch import Batch, Op
from afterglow.log.entry import Entry, EntryKind
from afterglow.metering import phase
from afterglow.storage.ports import Stores, Write

_log = logging.getLogger(__name__)

_MAX_ATTEMPTS = 200
_MAX_READS = 10
_FIRST_PAUSE_SECONDS = 0.001
_LAST_PAUSE_SECONDS = 0.05
_RETRY_AFTER_SECONDS = 2.0


class LogEnd:
    """What this process knows of the end of one collection's log, and of the collection. Guarded by `lock`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.collection: Collection | None = None
        self.seq = 0
        self.total_ops = 0
        self.observed_at = float("-inf")

    @property
    def unflushed_ops(self) -> int:
        """Operations that wait to be folded, as far as is known here."""
        return self.total_ops - (0 if self.collection is None else self.collection.flushed_ops)


def write(stores: Stores, end: LogEnd, scope: Scope, batch: Batch, extra_writes: Sequence[Write] = ()) -> int | None:
    """Make an add, update, upsert or delete by ids durable; the number of its entry, None where it has no ids.

    `beside` is written in one transaction with the entry. Raises NotFound, WrongDimension, Busy, Unavailable, and
    ConditionFailed where one of `beside` is refused: then nothing is written.
    """
    collection_id = scope.collection
    with end.lock:
        collection = require_in_scope(scope, _cached_state(stores, end, scope))
        if batch.ids:
            _prepare_state(stores, end, collection, batch)
    if not batch.ids:
        return None
    with phase("store"):
        prepared = append.prepare(stores, collection_id, batch, ttl.ttl_key(collection.metadata))
    with end.lock, phase("append"):
        return _append(stores, end, collection_id, prepared, batch, extra_writes=extra_writes)


def observe(end: LogEnd, collection: Collection) -> None:
    """Take note of a state that was just written, so that the next write here goes by it."""
    with end.lock:
        if end.collection is not None and end.collection.version < collection.version:
            end.collection = collection


def append_exactly_at(stores: Stores, end: LogEnd, collection_id: UUID, batch: Batch, seq: int, *, ops: int) -> bool:
    """Append the batch as entry `seq` and nothing else; whether it worked. `ops` is how many there were before it.

    Raises Unavailable, StorageFull.
    """
    prepared = append.prepare(stores, collection_id, batch)
    with end.lock:
        prepared = append.refresh_payload(stores, collection_id, prepared)
        entry = prepared.entry
        if not append.append_at(stores, collection_id, entry, seq):
            if entry.payload_key is not None:
                stores.objects.delete(entry.payload_key)
            return False
        if end.seq == seq - 1:
            end.seq, end.observed_at = seq, stores.system.now()
            end.total_ops += entry.op_count
    append.ensure_payload(stores, prepared)
    _notify_if_due(stores, collection_id, seq, ops, entry.op_count)
    return True


def seal_log(stores: Stores, collection_id: UUID) -> None:
    """End the log of a dropped collection, so that nothing can follow. Fencing twice is no error."""
    entry = append.seal_entry(stores.system)
    for _ in range(_MAX_ATTEMPTS):
        last = log.last_entry(stores.table, collection_id)
        if last is not None and last.kind is EntryKind.SEAL:
            return
        item = log.read_after(stores.table, collection_id, 0 if last is None else last.seq).state
        folded = 0 if item is None else states.decode(item).flushed_seq
        seq = max(folded, 0 if last is None else last.seq) + 1
        if append.append_at(stores, collection_id, entry, seq):
            return
    raise Busy(f"collection {collection_id} is being written by too many at once", _RETRY_AFTER_SECONDS)


def _cached_state(stores: Stores, end: LogEnd, scope: Scope) -> Collection:
    """The collection as last seen, read anew where that is unknown or too old to trust the log's end."""
    settings = stores.settings
    # The number after a known end may have been taken, folded and freed again once the fence time is over; the other
    # half of it is for what passes between this look and the put, and for clocks that differ.
    trusted_seconds = min(settings.log_end_cache_seconds, settings.log_placeholder_ttl_seconds / 2)
    is_fresh = stores.system.now() - end.observed_at < trusted_seconds
    if end.collection is None or not is_fresh:
        return _reload(stores, end, scope.collection, scope)
    return end.collection


def _reload(stores: Stores, end: LogEnd, collection_id: UUID, scope: Scope | None = None) -> Collection:
    """Learn the collection, where it is in the scope, and the end of its log from nothing. Raises NotFound."""
    end.collection = None
    for _ in range(_MAX_READS):
        collection = collections.require(stores.table, collection_id)
        if scope is not None:
            require_in_scope(scope, collection)
        news = log.read_after(stores.table, collection_id, collection.flushed_seq)
        if not news.trimmed:
            end.seq, end.total_ops = collection.flushed_seq, collection.flushed_ops
            return _record(stores, end, collection, news.entries)
    raise Busy(f"the log of collection {collection_id} is being folded too fast to follow", _RETRY_AFTER_SECONDS)


def _catch_up(stores: Stores, end: LogEnd, collection_id: UUID) -> Collection:
    """Learn what was appended since the last look, and the collection. Raises NotFound."""
    news = log.read_after(stores.table, collection_id, end.seq)
    collection = collections.require_live(news.state, collection_id)
    return _reload(stores, end, collection_id) if news.trimmed else _record(stores, end, collection, news.entries)


def _record(stores: Stores, end: LogEnd, collection: Collection, entries: Sequence[Entry]) -> Collection:
    if any(entry.kind is EntryKind.SEAL for entry in entries):
        end.collection = None
        raise collections.not_found(collection.id)
    end.collection = collection
    end.seq = entries[-1].seq if entries else end.seq
    end.total_ops += sum(entry.op_count for entry in entries)
    end.observed_at = stores.system.now()
    return collection


def _append(
    stores: Stores,
    end: LogEnd,
    collection_id: UUID,
    prepared: PendingEntry,
    batch: Batch,
    *,
    extra_writes: Sequence[Write],
) -> int:
    pause = _FIRST_PAUSE_SECONDS
    for _ in range(_MAX_ATTEMPTS):
        _apply_backpressure(stores, end, collection_id)
        seq, prepared = end.seq + 1, append.refresh_payload(stores, collection_id, prepared)
        if append.append_at(stores, collection_id, prepared.entry, seq, extra_writes):
            end.seq, end.observed_at = seq, stores.system.now()
            end.total_ops += prepared.entry.op_count
            append.ensure_payload(stores, prepared)
            _notify_if_due(stores, collection_id, seq, end.total_ops - prepared.entry.op_count, prepared.entry.op_count)
            return seq
        collection = _catch_up(stores, end, collection_id)
        _check_dimension(collection.dimension, batch)
        prepared = replace(prepared, entry=replace(prepared.entry, ttl_key=ttl.ttl_key(collection.metadata)))
        stores.system.sleep(pause * stores.system.random.random())
        pause = min(2 * pause, _LAST_PAUSE_SECONDS)
    raise Busy(f"collection {collection_id} is being written by too many at once", _RETRY_AFTER_SECONDS)


def _notify_if_due(stores: Stores, collection_id: UUID, seq: int, before: int, ops: int) -> None:
    """Tell the indexer where it is time: entry `seq` brought `ops` operations to the `before` that there were."""
    every, every_entry = max(stores.settings.notify_every_ops, 1), max(stores.settings.notify_every_entries, 1)
    if (before + ops) // every > before // every or seq % every_entry == 0:
        notify_indexer(stores, collection_id, str(seq))


def notify_indexer(stores: Stores, collection_id: UUID, body: str) -> None:
    """Nudge. What is done is durable already: a queue that fails costs time, not the request its answer."""
    try:
        stores.queue.send(str(collection_id), body)
    except (Busy, Unavailable) as error:
        _log.warning("the indexer was not told of collection %s: %s", collection_id, error)


def _apply_backpressure(stores: Stores, end: LogEnd, collection_id: UUID) -> None:
    limit = stores.settings.max_unflushed_ops
    if end.unflushed_ops >= limit:
        _catch_up(stores, end, collection_id)
        if end.unflushed_ops >= limit:
            notify_indexer(stores, collection_id, f"{end.seq} behind")
            message = f"{end.unflushed_ops} operations wait to be indexed, the limit is {limit}: retry later"
            raise Busy(message, _RETRY_AFTER_SECONDS)


def _prepare_state(stores: Stores, end: LogEnd, collection: Collection, batch: Batch) -> None:
    """Claim the dimension and register metadata keys, where this batch is the first to bring them."""
    _check_dimension(collection.dimension, batch)
    keys = _metadata_types(batch)

    def edit(present: Collection) -> Collection | None:
        _check_dimension(present.dimension, batch)
        registered = schema.register(present.schema, keys)
        dimension = batch.dimension if present.dimension is None else present.dimension
        if registered is None and dimension == present.dimension:
            return None
        return replace(present, dimension=dimension, schema=registered or present.schema)

    if edit(collection) is not None:
        end.collection = collections.update(stores.table, collection.id, edit)


def _check_dimension(expected: int | None, batch: Batch) -> None:
    given = batch.dimension
    if expected is not None and given is not None and given != expected:
        raise WrongDimension(expected, given)


def _metadata_types(batch: Batch) -> dict[str, set[str]]:
    """For each metadata key of the batch the names of the kinds of its values."""
    if batch.op is Op.DELETE or not batch.metadatas:
        return {}
    types = {(key, _type_of(value)) for metadata in batch.metadatas if metadata for key, value in metadata.items()}
    found: dict[str, set[str]] = {}
    for key, (kind, is_list) in types:
        name = _KIND_NAMES.get(kind)
        if name is not None:
            found.setdefault(key, set()).add(f"{name}_list" if is_list else name)
    return found


def _type_of(value: object) -> tuple[type, bool]:
    if value.__class__ is list:
        return (value[0].__class__ if value else type(None)), True
    return value.__class__, False


_KIND_NAMES: dict[type, str] = {
    bool: ColumnType.BOOL,
    int: ColumnType.INT,
    float: ColumnType.FLOAT,
    str: ColumnType.STR,
    dict: ColumnType.SPARSE,
}

Evaluate = Callable[[], tuple[int, int, list[str]]]
"""Log position of a view, the operations up to there, and the ids that a filter chose in it."""


def delete_where(stores: Stores, end: LogEnd, collection_id: UUID, evaluate: Evaluate) -> CountResult:
    """Delete the records that `evaluate` chooses, exactly as of the position they are deleted at."""
    pause = _FIRST_PAUSE_SECONDS
    for _ in range(_MAX_ATTEMPTS):
        applied, ops, ids = evaluate()
        if not ids:
            return CountResult(0, applied)
        if append_exactly_at(stores, end, collection_id, Batch(Op.DELETE, ids), applied + 1, ops=ops):
            return CountResult(len(ids), applied + 1)
        stores.system.sleep(pause * stores.system.random.random())
        pause = min(2 * pause, _LAST_PAUSE_SECONDS)
    raise Busy(f"collection {collection_id} is being written by too many at once", _RETRY_AFTER_SECONDS)
