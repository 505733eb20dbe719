"""Views of the past, kept while they are asked for: the first read of a moment opens it, the next ones cost a lookup.

A moment that was found once stays what it was found to be, so a kept view needs no look at the log; only whether the
collection is still there is read each time, as for any read.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from uuid import UUID

from afterglow.catalog.model import Collection
from afterglow.collection import history
from afterglow.collection.history import Moment
from afterglow.collection.opening import Loaded, open_checkpoint
from afterglow.collection.replica import View, snapshot
from afterglow.errors import Corrupt
from afterglow.log import read as log
from afterglow.log.read import Trimmed
from afterglow.metering import phase
from afterglow.segment.reader import Segment
from afterglow.storage.ports import ObjectMissing
from afterglow.storage.stores import Stores

_KEPT = 4
_ATTEMPTS = 5


class PastViews:
    """Safe for any number of threads."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[UUID, Moment], Loaded] = OrderedDict()

    def view(
        self, collection: Collection, moment: Moment, ids: Sequence[str] | None, present: dict[str, Segment]
    ) -> View:
        """The collection as of a moment; `present` are segments that are open already.

        Raises InvalidArgument where the moment is not to be had, NotFound, Corrupt, Unavailable.
        """
        name = collection.id, moment
        with self._lock:
            found = self._kept.pop(name, None)
        if found is None:
            found = opened(self._stores, collection, moment, present)
        with self._lock:
            self._kept[name] = found
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        time = moment.time if moment.time is not None else found.clock
        return snapshot(found, collection, ids, time / 1000)


def opened(stores: Stores, collection: Collection, moment: Moment, present: dict[str, Segment]) -> Loaded:
    """The collection as of a moment, from its checkpoint and log."""
    missing: Exception | None = None
    for _ in range(_ATTEMPTS):
        past = history.find(stores, collection, moment)
        try:
            with phase("open"):
                key = None if past.base is None else past.base.key
                loaded = open_checkpoint(stores, past.collection, key, present)
            with phase("replay"):
                loaded.apply(log.load(stores, collection.id, past.entries))
        except (ObjectMissing, Trimmed) as error:
            missing, collection = error, past.collection
            continue
        return loaded
    raise Corrupt(f"the past of collection {collection.id} cannot be opened: {missing}")
