"""The cached state of a collection and of the end of its log, and the reads that bring it up to date.

A write needs both to append without a read (`collection.write.write_path`). They may be outdated: the conditional put
of the append finds that out, and then `catch_up` reads what is new. They are read again after
`log_end_cache_seconds`, because the seal of a dropped collection does not stay for ever. Before the first write of a
process the collection is opened as a reader would (`collection.write.readable`): a write that nobody can read is not
acknowledged.
"""

import threading
from collections.abc import Sequence
from uuid import UUID

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.collection.types import Scope, require_in_scope
from afterglow.collection.write import readable
from afterglow.collection.write.recent_writes import RecentWrites
from afterglow.errors import Busy
from afterglow.log import read as log
from afterglow.log.batch import Batch
from afterglow.log.entry import Entry, EntryKind, advance_log_time
from afterglow.retry import REREADS, attempts
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import Stores

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


def known_collection(stores: Stores, end: LogEnd, scope: Scope) -> Collection:
    """The collection as the next write will see it: read now if this process has not, so that the write need not.

    Raises NotFound, Busy.
    """
    with end.lock:
        return require_in_scope(scope, cached_state(stores, end, scope))


def observe(end: LogEnd, collection: Collection) -> None:
    """Cache a state that was just read or written, if it is newer than the cached one."""
    with end.lock:
        if end.collection is not None and end.collection.version < collection.version:
            end.collection = collection


def cached_state(stores: Stores, end: LogEnd, scope: Scope) -> Collection:
    """The cached collection; read again if there is none, or if the cached log end may be outdated.

    The caller holds the lock. Raises NotFound, Busy.
    """
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
    for _ in attempts(stores.system, REREADS):
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


def catch_up(stores: Stores, end: LogEnd, collection_id: UUID) -> Collection:
    """Read the entries after the cached end, and the collection. The caller holds the lock. Raises NotFound, Busy."""
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
