"""The cache of open collections, bounded by their number and by the bytes of their memtables.

The least recently used collection is closed first (LRU). A request that is reading from a closed collection finishes
with its snapshot; the next request opens the collection again.
"""

import threading
from collections import OrderedDict
from concurrent.futures import Executor
from uuid import UUID

from afterglow.catalog.model import Collection
from afterglow.collection.replica.replica import Replica
from afterglow.collection.write.log_end import LogEnd
from afterglow.storage.ports import Stores


class OpenCollection:
    """A cache entry: the replica of a collection and the cached end of its log."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.log_end = LogEnd()
        self.searched_at = float("-inf")
        """When it was last searched, in monotonic seconds."""

    def peek(self) -> Collection | None:
        """The collection as last read by this process; reads nothing."""
        return self.log_end.collection or self.replica.peek()


class ReplicaCache:
    """Safe for any number of threads."""

    def __init__(self, stores: Stores, background: Executor | None) -> None:
        self._stores = stores
        self._background = background
        self._lock = threading.Lock()
        self._open: OrderedDict[UUID, OpenCollection] = OrderedDict()

    def __len__(self) -> int:
        """The number of open collections."""
        return len(self._open)

    def peek(self, collection_id: UUID) -> OpenCollection | None:
        """The collection if it is open; does not count as a use."""
        return self._open.get(collection_id)

    def open(self, collection_id: UUID) -> OpenCollection:
        """The collection, opened if necessary; marks it as most recently used."""
        with self._lock:
            entry = self._open.get(collection_id)
            if entry is None:
                entry = OpenCollection(Replica(self._stores, collection_id, self._background))
                self._open[collection_id] = entry
            self._open.move_to_end(collection_id)
            return entry

    def evict(self, collection_id: UUID) -> None:
        """Close the collection."""
        with self._lock:
            self._open.pop(collection_id, None)

    def evict_others(self, collection_id: UUID) -> None:
        """Close all but this one."""
        with self._lock:
            for other in [name for name in self._open if name != collection_id]:
                del self._open[other]

    def trim(self) -> None:
        """Close collections over the bounds, the least recently used first.

        To be called after a request: a request for a collection that does not exist must not close others.
        """
        settings = self._stores.settings
        with self._lock:
            while len(self._open) > settings.max_open_collections:
                self._open.popitem(last=False)
            if settings.max_memtable_bytes:
                size = sum(entry.replica.memtable_bytes() for entry in self._open.values())
                while size > settings.max_memtable_bytes and len(self._open) > 1:
                    size -= self._open.popitem(last=False)[1].replica.memtable_bytes()

    def ids(self) -> list[UUID]:
        """The open collections, the least recently used first."""
        with self._lock:
            return list(self._open)
