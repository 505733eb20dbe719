"""The LRU cache of point-in-time snapshots: the first read of a point opens a snapshot, later reads look it up.

The log entries between a checkpoint and the point have no HNSW index, and may be the whole collection. If they are more
than one flush holds, the snapshot is **rebased on the newest checkpoint**: there, the records written since the point
are deleted, and their versions as of the point are appended to the memtable. Untouched records are the same in both.

A resolved point in time never changes, so a cached snapshot needs no read of the log. Each read only checks that the
collection still exists, like any read, and that neither time nor a shortened past has left the point behind.
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
from afterglow.collection.replica.replica_state import ReplicaState, RowLocations
from afterglow.collection.replica.snapshot import Snapshot, WarmRows, take_snapshot, warm_rows
from afterglow.collection.time_travel import point_in_time
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.errors import Busy, Corrupt
from afterglow.log import read as log
from afterglow.log.read import LogTrimmed
from afterglow.metering import phase
from afterglow.retry import Backoff, attempts
from afterglow.segment.manifest import ManifestRef
from afterglow.segment.reader import Segment
from afterglow.storage.ports import ObjectNotFound, Stores

_MAX_SNAPSHOTS = 4
_MAX_REBASE_OPS = 1_000_000
"""The most operations since the point that a rebase reads."""
_REOPENS = Backoff(max_attempts=5, first=0.0, last=0.0)
"""Open again at once: a flush or the garbage collection replaced objects during the last attempt."""


class SnapshotCache:
    """Safe for any number of threads."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._snapshots: OrderedDict[tuple[UUID, PointInTime], OpenCheckpoint] = OrderedDict()

    def snapshot(
        self,
        collection: Collection,
        at: PointInTime,
        ids: Sequence[str] | None,
        open_segments: dict[str, Segment],
        as_of: float | None = None,
    ) -> Snapshot:
        """The collection at a point in time; reuses the `open_segments`, by id.

        What has expired by `as_of` (Unix seconds, None: the point's own time) is not in it.

        Raises InvalidArgument if the point cannot be read, NotFound, Corrupt, Unavailable.
        """
        point_in_time.require_in_window(self._stores, collection, at)
        key = collection.id, at
        with self._lock:
            checkpoint = self._snapshots.pop(key, None)
        if checkpoint is None or checkpoint.applied_seq < collection.oldest_position:
            checkpoint = open_snapshot(self._stores, collection, at, open_segments)
        with self._lock:
            self._snapshots[key] = checkpoint
            while len(self._snapshots) > _MAX_SNAPSHOTS or (len(self._snapshots) > 1 and self._is_over_memory()):
                self._snapshots.popitem(last=False)
        time = at.time if at.time is not None else checkpoint.log_time
        return take_snapshot(checkpoint, collection, ids, time / 1000 if as_of is None else as_of)

    def warm_rows(self, collection_id: UUID, at: PointInTime) -> WarmRows | None:
        """The rows of a cached snapshot with a small memtable; None if reading it may take a while."""
        checkpoint = self._snapshots.get((collection_id, at))
        if checkpoint is None or len(checkpoint.state.memtable) > self._stores.settings.flush_ops:
            return None
        return warm_rows(checkpoint)

    def _is_over_memory(self) -> bool:
        limit = self._stores.settings.max_memtable_bytes
        return limit > 0 and sum(checkpoint.memtable_bytes for checkpoint in self._snapshots.values()) > limit


def open_snapshot(
    stores: Stores, collection: Collection, at: PointInTime, open_segments: dict[str, Segment]
) -> OpenCheckpoint:
    """Open the collection at a point in time, from its checkpoint and log.

    Raises InvalidArgument, NotFound, Busy if the checkpoint or the log was replaced again and again meanwhile, and
    Corrupt if an object of the same checkpoint is missing each time.
    """
    missing: Exception | None = None
    checkpoints: set[ManifestRef | None] = set()
    is_trimmed = False
    for _ in attempts(stores.system, _REOPENS):
        resolved = point_in_time.resolve(stores, collection, at)
        checkpoints.add(resolved.base)
        try:
            with phase("open"):
                manifest_key = None if resolved.base is None else resolved.base.key
                checkpoint = open_checkpoint(stores, resolved.collection, manifest_key, open_segments)
            with phase("replay"):
                checkpoint.apply(log.load_batches(stores, collection.id, resolved.entries))
        except (ObjectNotFound, LogTrimmed) as error:
            missing, collection = error, resolved.collection
            is_trimmed = is_trimmed or isinstance(error, LogTrimmed)
            continue
        return rebase_on_latest(stores, resolved.collection, checkpoint, open_segments)
    if is_trimmed or len(checkpoints) > 1:
        raise Busy(f"collection {collection.id} is being flushed too fast to be read at {at}")
    raise Corrupt(f"collection {collection.id} cannot be opened at {at}: {missing}")


def rebase_on_latest(
    stores: Stores, collection: Collection, past: OpenCheckpoint, open_segments: dict[str, Segment]
) -> OpenCheckpoint:
    """`past` rebased on the newest checkpoint if that leaves fewer rows without an HNSW index; else `past` itself.

    Raises Corrupt, Unavailable.
    """
    unindexed = len(past.state.memtable)
    if unindexed <= stores.settings.flush_ops or collection.flushed_seq <= past.applied_seq:
        return past
    try:
        later = point_in_time.entries_since(stores, collection, past.applied_seq)
        if later is None or sum(entry.op_count for entry in later) > _MAX_REBASE_OPS:
            return past
        batches = [batch for _, loaded in log.load_batches(stores, collection.id, later) for batch in loaded]
        newest = open_checkpoint(stores, collection, collection.manifest_key, open_segments)
    except (ObjectNotFound, LogTrimmed):
        return past  # objects were replaced meanwhile; `past` is correct as well
    touched = list({name for batch in batches for name in batch.ids})
    old = past.state.locate(touched)
    existed = old.found
    if 2 * int(np.count_nonzero(existed)) > unindexed:
        return past
    state = newest.state
    new = state.locate(touched)
    state.delete([touched[index] for index in np.flatnonzero(new.found)], new.take(new.found))
    if existed.any():
        ids = [touched[index] for index in np.flatnonzero(existed)]
        state.memtable.append(_rows(past.state, ids, old.take(existed)))
    state.records, state.next_row_seq = past.state.records, past.state.next_row_seq
    newest.applied_seq, newest.applied_ops, newest.log_time = past.applied_seq, past.applied_ops, past.log_time
    return newest


def _rows(state: ReplicaState, ids: Sequence[str], locations: RowLocations) -> NewRows:
    """The current content of these records as new rows."""
    contents = read_contents(state, locations)
    metadatas = [None if metadata is None else orjson.loads(metadata) for metadata in contents.metadatas]
    return NewRows(ids, contents.row_seqs, contents.vectors, contents.documents, contents.uris, metadatas)
