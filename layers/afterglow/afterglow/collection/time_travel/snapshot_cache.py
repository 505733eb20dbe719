"""Views of the past, kept while they are asked for: the first read of a moment opens it, the next ones cost a lookup.

What a moment adds to the checkpoint before it has no graph, and may be the whole collection. Where that is more than
one fold holds, it is laid **over the newest checkpoint** instead: there, whatever was written since is taken out, and
what it was then is added. What nobody touched since is the same in both.

A moment that was found once stays what it was found to be, so a kept view needs no look at the log; only whether the
collection is still there is read each time, as for any read.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from uuid import UUID

import numpy as np
import orjson

from afterglow.catalog.model import Collection
from afterglow.collection.replica.apply import read_contents
from afterglow.collection.replica.checkpoint import OpenCheckpoint, open_checkpoint
from afterglow.collection.replica.memtable import NewRows
from afterglow.collection.replica.replica import Snapshot, take_snapshot
from afterglow.collection.replica.replica_state import ReplicaState, RowLocations
from afterglow.collection.time_travel import point_in_time
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.errors import Corrupt
from afterglow.log import read as log
from afterglow.log.read import LogTrimmed
from afterglow.metering import phase
from afterglow.segment.reader import Segment
from afterglow.storage.ports import ObjectNotFound, Stores

_MAX_SNAPSHOTS = 4
_MOST_MISSED = 1_000_000
"""Operations since a moment that are looked through to lay it over the newest checkpoint."""
_ATTEMPTS = 5


class SnapshotCache:
    """Safe for any number of threads."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._snapshots: OrderedDict[tuple[UUID, PointInTime], OpenCheckpoint] = OrderedDict()

    def snapshot(
        self, collection: Collection, moment: PointInTime, ids: Sequence[str] | None, present: dict[str, Segment]
    ) -> Snapshot:
        """The collection as of a moment; `present` are segments that are open already.

        Raises InvalidArgument where the moment is not to be had, NotFound, Corrupt, Unavailable.
        """
        name = collection.id, moment
        with self._lock:
            found = self._snapshots.pop(name, None)
        if found is None:
            found = open_snapshot(self._stores, collection, moment, present)
        with self._lock:
            self._snapshots[name] = found
            while len(self._snapshots) > _MAX_SNAPSHOTS or (len(self._snapshots) > 1 and self._is_heavy()):
                self._snapshots.popitem(last=False)
        time = moment.time if moment.time is not None else found.log_time
        return take_snapshot(found, collection, ids, time / 1000)

    def rows(self, collection_id: UUID, moment: PointInTime) -> int | None:
        """Rows of a view that is kept and of which little is scanned; None where it may take a while."""
        found = self._snapshots.get((collection_id, moment))
        if found is None or len(found.state.memtable) > self._stores.settings.flush_ops:
            return None
        return sum(segment.info.rows for segment in found.state.segments) + len(found.state.memtable)

    def _is_heavy(self) -> bool:
        most = self._stores.settings.max_memtable_bytes
        return most > 0 and sum(each.memtable_bytes for each in self._snapshots.values()) > most


def open_snapshot(
    stores: Stores, collection: Collection, moment: PointInTime, present: dict[str, Segment]
) -> OpenCheckpoint:
    """The collection as of a moment, from its checkpoint and log."""
    missing: Exception | None = None
    for _ in range(_ATTEMPTS):
        past = point_in_time.resolve(stores, collection, moment)
        try:
            with phase("open"):
                key = None if past.base is None else past.base.key
                loaded = open_checkpoint(stores, past.collection, key, present)
            with phase("replay"):
                loaded.apply(log.load_batches(stores, collection.id, past.entries))
        except (ObjectNotFound, LogTrimmed) as error:
            missing, collection = error, past.collection
            continue
        return rebase_on_latest(stores, past.collection, loaded, present)
    raise Corrupt(f"the past of collection {collection.id} cannot be opened: {missing}")


def rebase_on_latest(
    stores: Stores, collection: Collection, then: OpenCheckpoint, present: dict[str, Segment]
) -> OpenCheckpoint:
    """The same as `then`, over the newest checkpoint where that leaves less without a graph; else `then` itself.

    Raises Corrupt, Unavailable.
    """
    scanned = len(then.state.memtable)
    if scanned <= stores.settings.flush_ops or collection.flushed_seq <= then.applied_seq:
        return then
    try:
        missed = point_in_time.entries_since(stores, collection, then.applied_seq)
        if missed is None or sum(each.op_count for each in missed) > _MOST_MISSED:
            return then
        batches = [batch for _, batch in log.load_batches(stores, collection.id, missed) if batch is not None]
        newest = open_checkpoint(stores, collection, collection.manifest_key, present)
    except (ObjectNotFound, LogTrimmed):
        return then  # replaced meanwhile; what there is answers, too
    touched = list({each for batch in batches for each in batch.ids})
    located = then.state.locate(touched)
    existed = located.found
    if 2 * int(np.count_nonzero(existed)) > scanned:
        return then
    memory = newest.state
    here = memory.locate(touched)
    memory.delete([touched[each] for each in np.flatnonzero(here.found)], here.take(here.found))
    if existed.any():
        memory.memtable.append(
            _rows(then.state, [touched[each] for each in np.flatnonzero(existed)], located.take(existed))
        )
    memory.records, memory.next_row_seq = then.state.records, then.state.next_row_seq
    newest.applied_seq, newest.applied_ops, newest.log_time = then.applied_seq, then.applied_ops, then.log_time
    return newest


def _rows(memory: ReplicaState, ids: Sequence[str], located: RowLocations) -> NewRows:
    """These records as rows to be appended elsewhere."""
    found = read_contents(memory, located)
    metadatas = [None if each is None else orjson.loads(each) for each in found.metadatas]
    return NewRows(ids, found.row_seqs, found.vectors, found.documents, found.uris, metadatas)
