"""From a scope to a view of the collection, now or at a moment of its past; what is open is kept.

A collection that is not in the scope costs one read and answers as one that is not there: neither the answer nor its
time tells that it is there.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from uuid import UUID

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.collection.replica.replica import Snapshot
from afterglow.collection.replica.replica_cache import ReplicaCache
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.time_travel.snapshot_cache import SnapshotCache
from afterglow.collection.types import Scope, require_in_scope
from afterglow.collection.write import write_path
from afterglow.collection.write.write_path import LogEnd
from afterglow.errors import NotFound, StorageFull
from afterglow.storage.ports import Stores


class CollectionReader:
    """Safe for any number of threads."""

    def __init__(self, stores: Stores, background: Executor | None) -> None:
        self._stores = stores
        self._cache = ReplicaCache(stores, background)
        self._snapshots = SnapshotCache(stores)

    def snapshot(
        self, scope: Scope, ids: Sequence[str] | None = None, at: PointInTime | None = None, *, indexed: bool = False
    ) -> Snapshot:
        """The collection as it is, or as of a moment; `located` answers for the ids. `indexed`: the checkpoint alone.

        Raises NotFound, InvalidArgument where the moment is not to be had, Corrupt, Unavailable.
        """
        if at is not None:
            return self._point_in_time(scope, ids, at)
        self.check_scope(scope)
        try:
            try:
                view = self._cache.open(scope.collection).replica.snapshot(ids, scope, indexed=indexed)
            except StorageFull:
                # What else is open here holds the room.
                self._cache.evict_others(scope.collection)
                view = self._cache.open(scope.collection).replica.snapshot(ids, scope, indexed=indexed)
        except NotFound:
            self._cache.evict(scope.collection)
            raise
        finally:
            self._cache.trim()
        require_in_scope(scope, view.collection)
        return view

    def log_end(self, scope: Scope) -> LogEnd:
        """What is known of the end of the collection's log. Raises NotFound."""
        self.check_scope(scope)
        opened = self._cache.open(scope.collection)
        seen = opened.replica.peek()
        if seen is not None:
            write_path.observe(opened.log_end, seen)  # what reads have seen since the last write
        return opened.log_end

    def observe(self, changed: Collection) -> None:
        """The collection was changed here: writes from now on know it."""
        opened = self._cache.peek(changed.id)
        if opened is not None:
            write_path.observe(opened.log_end, changed)

    def trim(self) -> None:
        """After a request: close what is over the bounds."""
        self._cache.trim()

    def evict(self, collection_id: UUID) -> None:
        """Close the collection."""
        self._cache.evict(collection_id)

    def peek(self, collection_id: UUID) -> Collection | None:
        """The collection as this process last saw it, if it is open here."""
        opened = self._cache.peek(collection_id)
        return None if opened is None else opened.peek()

    def warm_rows(self, collection_id: UUID, at: PointInTime | None = None) -> int | None:
        """Rows of a collection whose next view is likely to be had at once; None where it may take a while."""
        if at is not None:
            return self._snapshots.rows(collection_id, at)
        opened = self._cache.peek(collection_id)
        return None if opened is None else opened.replica.warm_row_count()

    def check_scope(self, scope: Scope) -> None:
        """Raises NotFound, after one read, for a collection that is open here, but not in the scope."""
        known = self.peek(scope.collection)
        if known is not None and (known.tenant, known.database) != (scope.tenant, scope.database):
            require_in_scope(scope, collections.by_id(self._stores.table, scope.collection))

    def _point_in_time(self, scope: Scope, ids: Sequence[str] | None, at: PointInTime) -> Snapshot:
        collection = require_in_scope(scope, collections.by_id(self._stores.table, scope.collection))
        opened = self._cache.peek(scope.collection)
        return self._snapshots.snapshot(collection, at, ids, {} if opened is None else opened.replica.segments())
