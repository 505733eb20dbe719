"""The replica: a collection in memory, up to the end of its log.

**Read**: fetch all log entries after the applied ones in one table query, and apply them. The response also carries
the collection's state, so a read sees every write acknowledged before the read began, by any process, and sees a drop
or rename at once. If the table can tell that nothing was written since the last read, that read's state is used.

**A first read** reads the state, then its checkpoint and, from a remote store at the same time, the log after it.

**A newer checkpoint** is opened alongside the current one: open its segments (reusing those already open), replay the
log after it, then swap. Until then the current one keeps serving; it has applied those entries already. With an
executor this happens in the background, otherwise within the read. If the newer one cannot be opened, for example
because the disk cache has no room for both, the current one keeps serving, and a read after a minute tries again.

**After large writes** of this process the log is applied in the background if the collection was read a moment ago, and
the codes of the new rows are made.

**A trimmed log**: if the entries after `applied_seq` are gone, the replica starts over from the newest checkpoint. If
the disk cache has no room for both, the current one is closed first.
"""

import contextvars
import gc
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID

from afterglow.catalog import collections
from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.collection.replica.checkpoint import OpenCheckpoint, ReplayLimit, open_newest, segments_by_id
from afterglow.collection.replica.replica_state import make_scan_codes
from afterglow.collection.replica.snapshot import Snapshot, WarmRows, take_snapshot, warm_rows
from afterglow.collection.types import Scope, require_in_scope
from afterglow.errors import AfterglowError, Corrupt, NotFound, StorageFull
from afterglow.log import read as log
from afterglow.log.entry import Entry
from afterglow.log.read import LogSlice, LogTrimmed
from afterglow.metering import phase
from afterglow.retry import REREADS, attempts
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.segment.reader import Segment
from afterglow.storage.clock import earliest_now
from afterglow.storage.ports import Item, Stores

_log = logging.getLogger(__name__)

_WARM_SECONDS = 1.0
_FOLLOW_SECONDS, _FOLLOW_OPS = 10.0, 512
"""A collection that was read so recently follows its log without a read, once so many operations are to be applied."""
_RETRY_SECONDS = 60.0


class Replica:
    """One collection. Safe for any number of threads."""

    def __init__(
        self,
        stores: Stores,
        collection_id: UUID,
        background: Executor | None = None,
        replay_limit: ReplayLimit | None = None,
    ) -> None:
        """With a `replay_limit`, a snapshot stops before the log's end once the memtable has reached the limit.

        The limit is for the indexer, which flushes the memtable and continues, or which only compacts flushed
        segments (limit 0). A reader must replay the whole log and has no limit.
        """
        self._stores = stores
        self._replay_limit = replay_limit
        self._id = collection_id
        self._background = background
        self._lock = threading.Lock()
        self._refreshing = False
        self._following = False
        self._failed_manifest: str | None = None
        self._retry_at = float("-inf")
        self._checkpoint: OpenCheckpoint | None = None
        self._collection: Collection | None = None
        self._is_damaged = False
        self._last_read_at = float("-inf")
        self._marker: object = None
        """The table's change marker before the last read of the log, if the checkpoint has all that is written."""

    @classmethod
    def for_indexer(cls, stores: Stores, collection_id: UUID) -> "Replica":
        """A replica whose snapshots can be flushed: bounded memtable, with the log entries it consists of."""
        return cls(stores, collection_id, replay_limit=ReplayLimit.of_flush(stores.settings))

    @classmethod
    def from_checkpoint(cls, stores: Stores, collection_id: UUID) -> "Replica":
        """A replica whose snapshots are the checkpoint, without the log after it."""
        return cls(stores, collection_id, replay_limit=ReplayLimit(0, 0))

    def segments(self) -> dict[str, Segment]:
        """The open segments by their ids."""
        checkpoint = self._checkpoint
        return {} if checkpoint is None else segments_by_id(checkpoint.state.segments)

    def warm_rows(self) -> WarmRows | None:
        """The rows of the replica if its next snapshot is likely to be immediate; None if it may take a while."""
        checkpoint = self._checkpoint
        if checkpoint is None or not self._was_read_within(_WARM_SECONDS) or self._lock.locked():
            return None
        return warm_rows(checkpoint)

    def _was_read_within(self, seconds: float) -> bool:
        return self._stores.system.monotonic() - self._last_read_at < seconds

    def peek(self) -> Collection | None:
        """The collection as of the last read, None before the first."""
        return self._collection

    def memtable_bytes(self) -> int:
        """Bytes of the batches replayed into the memtable, and of its codes."""
        checkpoint = self._checkpoint
        return 0 if checkpoint is None else checkpoint.memtable_bytes

    def snapshot(
        self, ids: Sequence[str] | None = None, scope: Scope | None = None, *, indexed: bool = False
    ) -> Snapshot:
        """Catch up with the log and take a snapshot. Raises NotFound, Corrupt, Unavailable.

        With a `scope`, a checkpoint is opened only inside it. `indexed` leaves out the unflushed log.
        """
        with self._lock:
            try:
                collection, checkpoint = self._catch_up(scope)
                if indexed:
                    checkpoint = OpenCheckpoint(checkpoint.manifest_key, checkpoint.state.checkpoint_only())
                self._last_read_at = self._stores.system.monotonic()
                # Writes decide by the log's time what has expired, so a clock that is behind it must not show more.
                as_of = max(earliest_now(self._stores.table, self._stores.system), checkpoint.log_time / 1000)
                snapshot = take_snapshot(checkpoint, collection, ids, as_of)
            except Corrupt:
                self._is_damaged = True
                raise
            self._is_damaged = False
            return snapshot

    @property
    def is_damaged(self) -> bool:
        """Whether the last snapshot failed because stored data is damaged."""
        return self._is_damaged

    def follow(self, total_ops: int) -> None:
        """Apply the log in the background if reads are frequent and many of its `total_ops` are to be applied."""
        checkpoint = self._checkpoint
        is_behind = checkpoint is not None and total_ops >= checkpoint.applied_ops + _FOLLOW_OPS
        if self._background is None or not is_behind or self._following or not self._was_read_within(_FOLLOW_SECONDS):
            return
        self._following = True
        with suppress(RuntimeError):  # the engine is being closed
            self._background.submit(self._follow)

    def _follow(self) -> None:
        self._following = False  # first: a write from here on is followed by another run
        try:
            with self._lock:
                if self._checkpoint is None:
                    return
                _, checkpoint = self._catch_up(None)
                groups = checkpoint.state.row_groups()
            make_scan_codes(groups)
        except AfterglowError as error:
            _log.debug("collection %s: the next read meets this, too: %s", self._id, error)

    def _catch_up(self, scope: Scope | None) -> tuple[Collection, OpenCheckpoint]:
        first: LogSlice | None = None
        if self._checkpoint is None:
            collection = self._observe(collections.read_state(self._stores.table, self._id))
            self._checkpoint, first = self._load_first(
                collection if scope is None else require_in_scope(scope, collection)
            )
        with phase("log"):
            marker = self._stores.table.change_marker()
        if self._collection is not None and marker is not None and marker == self._marker:
            return self._collection, self._checkpoint
        self._marker = None
        for _ in attempts(self._stores.system, REREADS):
            log_slice, first = first or self._read_log(self._checkpoint.applied_seq), None
            collection = self._observe(log_slice.state)
            # Deleted placeholders at the end of the log leave no visible gap.
            is_short = self._checkpoint.applied_seq + len(log_slice.entries) < collection.flushed_seq
            if log_slice.trimmed or is_short:
                self._checkpoint = self._start_over(collection)
                continue
            try:
                if log_slice.entries:
                    with phase("replay"):
                        self._replay(self._checkpoint, log_slice.entries)
            except LogTrimmed:
                self._checkpoint = self._start_over(collection)
                continue
            except BaseException:
                self._checkpoint = None  # an entry may be half applied
                raise
            if self._checkpoint.manifest_key != collection.manifest_key:
                self._schedule_refresh(collection)
            elif self._replay_limit is None:
                self._marker = marker
            return collection, self._checkpoint
        raise Corrupt(f"the log of collection {self._id} does not continue after its checkpoint; {RESTORE_HINT}")

    def _load_first(self, collection: Collection) -> tuple[OpenCheckpoint, LogSlice | None]:
        """The checkpoint and, if it was read meanwhile, the log after it."""
        if collection.manifest_key is None or not self._stores.objects.evicts:
            return self._load(collection), None
        with ThreadPoolExecutor(1, thread_name_prefix="afterglow-log") as reader:
            reading = reader.submit(contextvars.copy_context().run, self._read_log, collection.flushed_seq)
            checkpoint = self._load(collection)
        # Another one was opened if the state's was replaced and collected.
        is_next = checkpoint.manifest_key == collection.manifest_key
        return checkpoint, reading.result() if is_next else None

    def _read_log(self, seq: int) -> LogSlice:
        """The log after entry `seq`."""
        with phase("log"):
            return log.read_after(self._stores.table, self._id, seq)

    def _observe(self, item: Item | None) -> Collection:
        collection = self._collection
        if item is not None and (collection is None or collection.version != item.version):
            collection = self._collection = states.decode(item)
        if item is None or collection is None or collection.is_dropped:
            self._checkpoint = self._collection = None
            raise collections.not_found(self._id)
        return collection

    def _replay(self, checkpoint: OpenCheckpoint, entries: Sequence[Entry]) -> None:
        if self._replay_limit is None or self._replay_limit.rows:
            checkpoint.apply(log.load_batches(self._stores, self._id, entries), self._replay_limit)

    def _schedule_refresh(self, collection: Collection) -> None:
        if self._replay_limit is not None:
            self._checkpoint = self._load_and_replay(collection)
        elif self._failed_manifest == collection.manifest_key and self._stores.system.monotonic() < self._retry_at:
            return
        elif self._background is None:
            try:
                self._checkpoint = self._load_and_replay(collection)
            except NotFound:
                raise
            except AfterglowError as error:
                self._record_failure(collection, error)
        elif not self._refreshing:
            self._refreshing = True
            self._background.submit(self._refresh, collection)

    def _record_failure(self, collection: Collection, error: AfterglowError) -> None:
        self._failed_manifest = collection.manifest_key
        self._retry_at = self._stores.system.monotonic() + _RETRY_SECONDS
        _log.error("collection %s stays on its older checkpoint: %s", self._id, error)

    def _refresh(self, collection: Collection) -> None:
        try:
            fresh = self._load_and_replay(collection)
            if self._was_read_within(_FOLLOW_SECONDS):
                make_scan_codes(fresh.state.row_groups())
            with self._lock:
                current = self._checkpoint
                if current is None or current.state.manifest.number >= fresh.state.manifest.number:
                    return
                missed = log.read_after(self._stores.table, self._id, fresh.applied_seq)
                if not missed.trimmed:
                    self._replay(fresh, missed.entries)
                    self._checkpoint = fresh
        except NotFound:
            _log.debug("collection %s: it was dropped during a refresh", self._id)
        except LogTrimmed:
            _log.debug("collection %s: the log was trimmed during a refresh; the next read starts another", self._id)
        except AfterglowError as error:
            self._record_failure(collection, error)
        except Exception:  # noqa: BLE001  reads go on with the older checkpoint
            self._failed_manifest, self._retry_at = collection.manifest_key, float("inf")
            _log.exception("collection %s stays on its older checkpoint", self._id)
        finally:
            self._refreshing = False

    def _load_and_replay(self, collection: Collection) -> OpenCheckpoint:
        """The newest checkpoint with the log after it replayed. Raises NotFound if the collection was dropped."""
        for _ in attempts(self._stores.system, REREADS):
            fresh = self._load(collection)
            log_slice = log.read_after(self._stores.table, self._id, fresh.applied_seq)
            collection = collections.require_live(log_slice.state, self._id)
            if log_slice.trimmed:
                continue
            try:
                self._replay(fresh, log_slice.entries)
            except LogTrimmed:
                continue
            return fresh
        raise Corrupt(f"the log of collection {self._id} does not continue after its checkpoint; {RESTORE_HINT}")

    def _start_over(self, collection: Collection) -> OpenCheckpoint:
        """The newest checkpoint; the open one, which cannot go on, makes room for it if necessary."""
        try:
            return self._load(collection)
        except StorageFull:
            if self._checkpoint is None:
                raise
        # Outside of the handler, as the exception holds segments that were opened before it, perhaps in a cycle.
        self._checkpoint = None
        gc.collect()
        return self._load(collection)

    def _load(self, collection: Collection) -> OpenCheckpoint:
        """The state's checkpoint, or a newer one if that one was replaced and garbage collected meanwhile."""
        open_segments = () if self._checkpoint is None else self._checkpoint.state.segments
        keep_entries = self._replay_limit is not None
        return open_newest(self._stores, collection, segments_by_id(open_segments), keep_entries=keep_entries)
