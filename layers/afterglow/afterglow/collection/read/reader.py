"""From a scope to a snapshot of the collection, current or at a point in time; open collections are cached.

A collection outside the scope costs one read and gets the same error as one that does not exist: neither the response
nor its timing reveals that it exists.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from uuid import UUID

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.collection import restriction
from afterglow.collection.replica.replica_cache import ReplicaCache
from afterglow.collection.replica.snapshot import Snapshot, WarmRows
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.time_travel.snapshot_cache import SnapshotCache
from afterglow.collection.types import Scope, is_in_scope, require_in_scope
from afterglow.collection.write import log_end, readable
from afterglow.collection.write.log_end import LogEnd
from afterglow.collection.write.read_condition import require_recent
from afterglow.errors import Corrupt, InvalidArgument, NotFound, StaleRead, StorageFull
from afterglow.storage.ports import Stores, TooManyOpenFiles

_SEARCHED_SECONDS = 10.0


class CollectionReader:
    """Safe for any number of threads."""

    def __init__(self, stores: Stores, background: Executor | None) -> None:
        self._stores = stores
        self._cache = ReplicaCache(stores, background)
        self._snapshots = SnapshotCache(stores)

    @property
    def open_collections(self) -> int:
        """The number of open collections."""
        return len(self._cache)

    def snapshot(
        self, scope: Scope, ids: Sequence[str] | None = None, at: PointInTime | None = None, *, indexed: bool = False
    ) -> Snapshot:
        """The collection now, or as of `at`, with the locations of `ids`. `indexed`: without the unflushed log.

        With a restriction in the scope, only with the records inside it.

        Raises NotFound, InvalidArgument if the point in time cannot be read, Corrupt, Unavailable.
        """
        if at is not None:
            return restriction.restrict(self._point_in_time(scope, ids, at), scope)
        self.check_scope(scope)
        # A restricted caller must not learn when others' writes are flushed.
        indexed = indexed and scope.restriction is None
        try:
            try:
                snapshot = self._cache.open(scope.collection).replica.snapshot(ids, scope, indexed=indexed)
            except (StorageFull, TooManyOpenFiles):
                # Files of other open collections cannot be evicted from the disk cache, and may hold descriptors.
                self._cache.evict_others(scope.collection)
                snapshot = self._cache.open(scope.collection).replica.snapshot(ids, scope, indexed=indexed)
        except NotFound:
            self._cache.evict(scope.collection)
            raise
        finally:
            self._cache.trim()
        require_in_scope(scope, snapshot.collection)
        return restriction.restrict(snapshot, scope)

    def snapshot_at_token(self, scope: Scope, ids: Sequence[str] | None, position: int | None) -> Snapshot:
        """The collection for a read of a transaction: now (None), or at the log position of its first read.

        Expiry goes by the present in both, so that a record that is absent can be added. Raises NotFound, StaleRead if
        the position can no longer be read, InvalidArgument if the log has not reached it, Corrupt, Unavailable.
        """
        now = self.snapshot(scope, ids)
        if position is None or now.applied_seq == position:
            return now
        require_recent(scope, position, now.applied_seq)
        if position > now.applied_seq:
            raise InvalidArgument(f"read_token: the log ends at position {now.applied_seq}, before that of the reads")
        entry = self._cache.peek(scope.collection)
        segments = {} if entry is None else entry.replica.segments()
        at = PointInTime(position=position, is_recent=True)
        try:
            snapshot = self._snapshots.snapshot(now.collection, at, ids, segments, now.as_of)
        except InvalidArgument as error:
            raise StaleRead(error.message) from error
        return restriction.restrict(snapshot, scope)

    def log_end(self, scope: Scope) -> LogEnd:
        """The cached end of the collection's log. Raises NotFound, and Corrupt if the collection cannot be read."""
        self.check_scope(scope)
        entry = self._cache.open(scope.collection)
        latest = entry.replica.peek()
        if entry.replica.is_damaged and latest is not None:
            try:
                entry.replica.snapshot(scope=scope)
            except Corrupt as error:
                raise readable.read_only(latest, error.message) from error
        if latest is not None:
            log_end.observe(entry.log_end, latest)  # reads since the last write may have seen a newer state
        return entry.log_end

    def observe(self, collection: Collection) -> None:
        """This process has changed the collection: its next writes use the new state."""
        entry = self._cache.peek(collection.id)
        if entry is not None:
            log_end.observe(entry.log_end, collection)

    def follow(self, collection_id: UUID) -> None:
        """Apply much of what this process has just written to an open collection, before it is read."""
        entry = self._cache.peek(collection_id)
        if entry is not None:
            entry.replica.follow(entry.log_end.total_ops)

    def written_ops(self, collection_id: UUID) -> int:
        """The operations in the log as far as this process has written or read them for writes; 0 if it is closed."""
        entry = self._cache.peek(collection_id)
        return 0 if entry is None else entry.log_end.total_ops

    def note_search(self, collection_id: UUID) -> None:
        """The collection is being searched as it is now."""
        entry = self._cache.peek(collection_id)
        if entry is not None:
            entry.searched_at = self._stores.system.monotonic()

    def was_searched(self, collection_id: UUID) -> bool:
        """Whether it was searched within the last ten seconds."""
        entry = self._cache.peek(collection_id)
        return entry is not None and self._stores.system.monotonic() - entry.searched_at < _SEARCHED_SECONDS

    def trim(self) -> None:
        """Close collections over the bounds; to be called after a request."""
        self._cache.trim()

    def evict(self, collection_id: UUID) -> None:
        """Close the collection."""
        self._cache.evict(collection_id)

    def peek(self, collection_id: UUID) -> Collection | None:
        """The collection as this process last read it, if it is open."""
        entry = self._cache.peek(collection_id)
        return None if entry is None else entry.peek()

    def warm_rows(self, collection_id: UUID, at: PointInTime | None = None) -> WarmRows | None:
        """The rows of a collection whose next snapshot is likely to be immediate; None if it may take a while."""
        if at is not None:
            return self._snapshots.warm_rows(collection_id, at)
        entry = self._cache.peek(collection_id)
        return None if entry is None else entry.replica.warm_rows()

    def check_scope(self, scope: Scope) -> None:
        """Raises NotFound, after one read, for a collection that is open here but outside the scope."""
        cached = self.peek(scope.collection)
        if cached is not None and not is_in_scope(scope, cached):
            require_in_scope(scope, collections.by_id(self._stores.table, scope.collection))

    def _point_in_time(self, scope: Scope, ids: Sequence[str] | None, at: PointInTime) -> Snapshot:
        collection = require_in_scope(scope, collections.by_id(self._stores.table, scope.collection))
        entry = self._cache.peek(scope.collection)
        return self._snapshots.snapshot(collection, at, ids, {} if entry is None else entry.replica.segments())
