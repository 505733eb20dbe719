"""The collections that a process keeps open, within bounds: by number, and by the bytes of their tails in memory.

What was used longest ago is closed first. Whoever is reading from a collection that is closed keeps it until done; the
next request opens it again.
"""

import threading
from collections import OrderedDict
from concurrent.futures import Executor
from uuid import UUID

from afterglow.catalog.model import Collection
from afterglow.collection.replica.replica import Replica
from afterglow.collection.write.write_path import LogEnd
from afterglow.storage.ports import Stores


class OpenCollection:
    """What is kept of one collection."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.log_end = LogEnd()

    def peek(self) -> Collection | None:
        """The collection as last seen, without asking."""
        return self.log_end.collection or self.replica.peek()


class ReplicaCache:
    """Safe for any number of threads."""

    def __init__(self, stores: Stores, background: Executor | None) -> None:
        self._stores = stores
        self._background = background
        self._lock = threading.Lock()
        self._open: OrderedDict[UUID, OpenCollection] = OrderedDict()

    def peek(self, collection_id: UUID) -> OpenCollection | None:
        """The collection, if it is open."""
        return self._open.get(collection_id)

    def open(self, collection_id: UUID) -> OpenCollection:
        """The collection, opened where it is not; used now."""
        with self._lock:
            found = self._open.get(collection_id)
            if found is None:
                found = OpenCollection(Replica(self._stores, collection_id, self._background))
                self._open[collection_id] = found
            self._open.move_to_end(collection_id)
            return found

    def evict(self, collection_id: UUID) -> None:
        """Close the collection."""
        with self._lock:
            self._open.pop(collection_id, None)

    def evict_others(self, collection_id: UUID) -> None:
        """Close all but this one."""
        with self._lock:
            for other in [each for each in self._open if each != collection_id]:
                del self._open[other]

    def trim(self) -> None:
        """Close what is over the bounds; after the request, as one for a collection that is not there needs no room."""
        most, most_bytes = self._stores.settings.max_open_collections, self._stores.settings.max_memtable_bytes
        with self._lock:
            while len(self._open) > most:
                self._open.popitem(last=False)
            if most_bytes:
                size = sum(each.replica.memtable_bytes() for each in self._open.values())
                while size > most_bytes and len(self._open) > 1:
                    size -= self._open.popitem(last=False)[1].replica.memtable_bytes()

    def ids(self) -> list[UUID]:
        """What is open, the least recently used first."""
        with self._lock:
            return list(self._open)
