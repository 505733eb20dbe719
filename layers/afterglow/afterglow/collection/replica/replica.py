"""The replica: a collection in memory, as far as the log goes.

**Reading**: ask the table for everything after what is applied, in one query, and apply it. The answer also carries
the state, so a read sees every write acknowledged before it began, on any process, and a drop or rename at once.

**A newer checkpoint** is taken over beside the present one: open its segments (those already open are kept), replay the
log after it, then swap. Until then the present one goes on serving; it has applied those entries already. With an
executor this happens in the background, otherwise within the read.

**A trimmed log**: where the entries after `applied` are gone, the replica begins again from the newest checkpoint.
"""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import collections, ttl
from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.collection.replica.checkpoint import OpenCheckpoint, ReplayLimit, open_checkpoint, segments_by_id
from afterglow.collection.replica.replica_state import RowGroupView, RowLocations
from afterglow.collection.replica.ttl_filter import TtlCutoff
from afterglow.collection.types import Scope, require_in_scope
from afterglow.errors import AfterglowError, Corrupt
from afterglow.log import read as log
from afterglow.log.entry import Entry
from afterglow.log.read import LogTrimmed
from afterglow.metering import phase
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.segment.manifest import Manifest
from afterglow.segment.reader import Segment
from afterglow.storage.ports import Item, ObjectNotFound, Stores

_log = logging.getLogger(__name__)

_ATTEMPTS = 10
_WARM_SECONDS = 1.0
MAX_CONCURRENT_FLUSHES = 8
"""Where much waits, a fold takes as many operations as so many folds would one after the other."""
_OF_BUILD_BYTES = 8
"""Batches of a share of the memory for merges are replayed into a tail to be folded; in memory they are about twice."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A collection at one moment: nothing in it changes any more.

    `applied` is the number of the last log entry in it, `ops` the operations up to there, `clock` the time of the log
    there, `next_ordinal` the insertion ordinal of the next new record. `moment` is the time that it speaks for, in Unix
    seconds: by then records may have expired that are still in it. `located` answers for the ids that the view was
    asked with; its part indexes are those of `parts`. `entries` are, for an indexer, those after the checkpoint.
    """

    collection: Collection
    manifest: Manifest
    row_groups: tuple[RowGroupView, ...]
    records: int
    applied_seq: int
    applied_ops: int
    log_time: int
    as_of: float
    next_row_seq: int
    locations: RowLocations | None = None
    entries: tuple[Entry, ...] = ()

    @property
    def expiry(self) -> TtlCutoff | None:
        """By what, and when, its records expire; None where they do not."""
        key = ttl.ttl_key(self.collection.metadata)
        return None if key is None else TtlCutoff(key, self.as_of)


def take_snapshot(loaded: OpenCheckpoint, collection: Collection, ids: Sequence[str] | None, moment: float) -> Snapshot:
    """A view of what is loaded. Raises Corrupt where a file was changed under its map."""
    memory = loaded.state
    for segment in memory.segments:
        segment.verify_unchanged()
    return Snapshot(
        collection=collection,
        manifest=memory.manifest,
        row_groups=memory.row_groups(),
        records=memory.records,
        applied_seq=loaded.applied_seq,
        applied_ops=loaded.applied_ops,
        log_time=loaded.log_time,
        as_of=moment,
        next_row_seq=memory.next_row_seq,
        locations=None if ids is None else memory.locate(ids),
        entries=tuple(loaded.entries or ()),
    )


class Replica:
    """One collection. Safe for any number of threads."""

    def __init__(
        self,
        stores: Stores,
        collection_id: UUID,
        background: Executor | None = None,
        replay_limit: ReplayLimit | None = None,
    ) -> None:
        """With `most_tail` a view stops short of the log's end where the tail has grown to that.

        That is for the indexer, which folds it and goes on, or which only merges what is folded (no rows); a reader
        must not be short of anything.
        """
        self._stores = stores
        self._replay_limit = replay_limit
        self._id = collection_id
        self._background = background
        self._lock = threading.Lock()
        self._refreshing = False
        self._failed_manifest: str | None = None
        self._checkpoint: OpenCheckpoint | None = None
        self._collection: Collection | None = None
        self._last_read_at = float("-inf")

    @classmethod
    def for_indexer(cls, stores: Stores, collection_id: UUID) -> "Replica":
        """One whose views can be folded: not more at a time than is meant to be, with the entries they are made of."""
        settings = stores.settings
        most = ReplayLimit(
            MAX_CONCURRENT_FLUSHES * settings.flush_ops, settings.compaction_memory_bytes // _OF_BUILD_BYTES
        )
        return cls(stores, collection_id, replay_limit=most)

    @classmethod
    def from_checkpoint(cls, stores: Stores, collection_id: UUID) -> "Replica":
        """One whose views are those of the checkpoint, without the log after it."""
        return cls(stores, collection_id, replay_limit=ReplayLimit(0, 0))

    def segments(self) -> dict[str, Segment]:
        """The segments that are open here, by their ids."""
        loaded = self._checkpoint
        return {} if loaded is None else segments_by_id(loaded.state.segments)

    def warm_row_count(self) -> int | None:
        """Rows in memory and maps, where the next view is likely to be had at once; None where it may take a while."""
        loaded = self._checkpoint
        lately = self._stores.system.now() - self._last_read_at < _WARM_SECONDS
        if loaded is None or not lately or self._lock.locked():
            return None
        return sum(segment.info.rows for segment in loaded.state.segments) + len(loaded.state.memtable)

    def peek(self) -> Collection | None:
        """The collection as it was when last read, None before that."""
        return self._collection

    def memtable_bytes(self) -> int:
        """Bytes of the batches that were replayed into memory."""
        loaded = self._checkpoint
        return 0 if loaded is None else loaded.memtable_bytes

    def snapshot(
        self, ids: Sequence[str] | None = None, scope: Scope | None = None, *, indexed: bool = False
    ) -> Snapshot:
        """Catch up with the log and take a snapshot. Raises NotFound, Corrupt, Unavailable.

        What is not loaded yet is loaded only where it is in the scope, if one is given. `indexed` leaves out what the
        log adds to the checkpoint.
        """
        with self._lock:
            collection, loaded = self._catch_up(scope)
            if indexed:
                loaded = OpenCheckpoint(loaded.manifest_key, loaded.state.checkpoint_only())
            self._last_read_at = self._stores.system.now()
            return take_snapshot(loaded, collection, ids, self._last_read_at)

    def _catch_up(self, scope: Scope | None) -> tuple[Collection, OpenCheckpoint]:
        if self._checkpoint is None:
            found = self._observe(collections.read_state(self._stores.table, self._id))
            self._checkpoint = self._load(found if scope is None else require_in_scope(scope, found))
        for _ in range(_ATTEMPTS):
            with phase("log"):
                news = log.read_after(self._stores.table, self._id, self._checkpoint.applied_seq)
            collection = self._observe(news.state)
            # Stubs that expired leave no gap to see where nothing follows them.
            is_short = self._checkpoint.applied_seq + len(news.entries) < collection.flushed_seq
            if news.trimmed or is_short:
                self._checkpoint = self._load(collection)
                continue
            try:
                if news.entries:
                    with phase("replay"):
                        self._replay(self._checkpoint, news.entries)
            except LogTrimmed:
                self._checkpoint = self._load(collection)
                continue
            except BaseException:
                self._checkpoint = None  # a batch may be half applied
                raise
            if self._checkpoint.manifest_key != collection.manifest_key:
                self._schedule_refresh(collection)
            return collection, self._checkpoint
        raise Corrupt(f"the log of collection {self._id} does not go on after its checkpoint; {RESTORE_HINT}")

    def _observe(self, item: Item | None) -> Collection:
        known = self._collection
        if item is not None and (known is None or known.version != item.version):
            known = self._collection = states.decode(item)
        if item is None or known is None or known.is_dropped:
            self._checkpoint = self._collection = None
            raise collections.not_found(self._id)
        return known

    def _replay(self, loaded: OpenCheckpoint, entries: Sequence[Entry]) -> None:
        if self._replay_limit is None or self._replay_limit.rows:
            loaded.apply(log.load_batches(self._stores, self._id, entries), self._replay_limit)

    def _schedule_refresh(self, collection: Collection) -> None:
        if self._background is None:
            self._checkpoint = self._load_and_replay(collection)
        elif not self._refreshing and self._failed_manifest != collection.manifest_key:
            self._refreshing = True
            self._background.submit(self._refresh, collection)

    def _refresh(self, collection: Collection) -> None:
        try:
            fresh = self._load_and_replay(collection)
            with self._lock:
                present = self._checkpoint
                if present is None or present.state.manifest.number >= fresh.state.manifest.number:
                    return
                missed = log.read_after(self._stores.table, self._id, fresh.applied_seq)
                if not missed.trimmed:
                    self._replay(fresh, missed.entries)
                    self._checkpoint = fresh
        except LogTrimmed:
            _log.debug("collection %s: the log was trimmed during a refresh; the next read begins another", self._id)
        except AfterglowError as error:
            self._failed_manifest = collection.manifest_key
            _log.error("collection %s stays on its older checkpoint: %s", self._id, error)
        finally:
            self._refreshing = False

    def _load_and_replay(self, collection: Collection) -> OpenCheckpoint:
        """The newest checkpoint with the log after it, as of about now."""
        for _ in range(_ATTEMPTS):
            fresh = self._load(collection)
            news = log.read_after(self._stores.table, self._id, fresh.applied_seq)
            if news.state is not None:
                collection = states.decode(news.state)
            if news.trimmed:
                continue
            try:
                self._replay(fresh, news.entries)
            except LogTrimmed:
                continue
            return fresh
        raise Corrupt(f"the log of collection {self._id} does not go on after its checkpoint; {RESTORE_HINT}")

    def _load(self, collection: Collection) -> OpenCheckpoint:
        """The checkpoint that the state names; a newer one where that one was replaced and collected meanwhile."""
        missing: ObjectNotFound | None = None
        for _ in range(_ATTEMPTS):
            try:
                with phase("open"):
                    return self._open(collection)
            except ObjectNotFound as error:
                missing = error
            news = log.read_after(self._stores.table, self._id, collection.flushed_seq)
            if news.state is None:
                raise collections.not_found(self._id)
            newer = states.decode(news.state)
            if newer.manifest_key == collection.manifest_key:
                break
            collection = newer
        raise Corrupt(f"collection {self._id} cannot be opened: {missing}; {RESTORE_HINT}")

    def _open(self, collection: Collection) -> OpenCheckpoint:
        present = () if self._checkpoint is None else self._checkpoint.state.segments
        kept = self._replay_limit is not None
        return open_checkpoint(self._stores, collection, collection.manifest_key, segments_by_id(present), keep_entries=kept)
