"""From a scope to a view of the collection, now or at a moment of its past; what is open is kept.

A collection that is not in the scope costs one read and answers as one that is not there: neither the answer nor its
time tells that it is there.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from uuid import UUID

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.collection.replica.replica import View
from afterglow.collection.replica.replica_cache import Kept
from afterglow.collection.time_travel.point_in_time import Moment
from afterglow.collection.time_travel.snapshot_cache import PastViews
from afterglow.collection.types import Scope, within
from afterglow.collection.write import write_path
from afterglow.collection.write.write_path import LogEnd
from afterglow.errors import NotFound, StorageFull
from afterglow.storage.ports import Stores


class Views:
    """Safe for any number of threads."""

    def __init__(self, stores: Stores, background: Executor | None) -> None:
        self._stores = stores
        self._kept = Kept(stores, background)
        self._past = PastViews(stores)

    def view(
        self, scope: Scope, ids: Sequence[str] | None = None, at: Moment | None = None, *, indexed: bool = False
    ) -> View:
        """The collection as it is, or as of a moment; `located` answers for the ids. `indexed`: the checkpoint alone.

        Raises NotFound, InvalidArgument where the moment is not to be had, Corrupt, Unavailable.
        """
        if at is not None:
            return self._past_view(scope, ids, at)
        self.refuse_foreign(scope)
        try:
            try:
                view = self._kept.open(scope.collection).replica.view(ids, scope, indexed=indexed)
            except StorageFull:
                # What else is open here holds the room.
                self._kept.forget_others(scope.collection)
                view = self._kept.open(scope.collection).replica.view(ids, scope, indexed=indexed)
        except NotFound:
            self._kept.forget(scope.collection)
            raise
        finally:
            self._kept.make_room()
        within(scope, view.collection)
        return view

    def end(self, scope: Scope) -> LogEnd:
        """What is known of the end of the collection's log. Raises NotFound."""
        self.refuse_foreign(scope)
        opened = self._kept.open(scope.collection)
        seen = opened.replica.known()
        if seen is not None:
            write_path.learn(opened.end, seen)  # what reads have seen since the last write
        return opened.end

    def learn(self, changed: Collection) -> None:
        """The collection was changed here: writes from now on know it."""
        opened = self._kept.find(changed.id)
        if opened is not None:
            write_path.learn(opened.end, changed)

    def make_room(self) -> None:
        """After a request: close what is over the bounds."""
        self._kept.make_room()

    def forget(self, collection_id: UUID) -> None:
        """Close the collection."""
        self._kept.forget(collection_id)

    def known(self, collection_id: UUID) -> Collection | None:
        """The collection as this process last saw it, if it is open here."""
        opened = self._kept.find(collection_id)
        return None if opened is None else opened.known()

    def warm_rows(self, collection_id: UUID, at: Moment | None = None) -> int | None:
        """Rows of a collection whose next view is likely to be had at once; None where it may take a while."""
        if at is not None:
            return self._past.rows(collection_id, at)
        opened = self._kept.find(collection_id)
        return None if opened is None else opened.replica.warm_rows()

    def refuse_foreign(self, scope: Scope) -> None:
        """Raises NotFound, after one read, for a collection that is open here, but not in the scope."""
        known = self.known(scope.collection)
        if known is not None and (known.tenant, known.database) != (scope.tenant, scope.database):
            within(scope, collections.by_id(self._stores.table, scope.collection))

    def _past_view(self, scope: Scope, ids: Sequence[str] | None, at: Moment) -> View:
        collection = within(scope, collections.by_id(self._stores.table, scope.collection))
        opened = self._kept.find(scope.collection)
        return self._past.view(collection, at, ids, {} if opened is None else opened.replica.segments())
