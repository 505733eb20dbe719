"""The distance from a collection's checkpoint to the end of its log, measured on the log alone (no replay)."""

from dataclasses import dataclass
from uuid import UUID

from afterglow.catalog import collections
from afterglow.catalog import state as states
from afterglow.catalog.model import Collection
from afterglow.collection.types import IndexingStatus
from afterglow.errors import Corrupt
from afterglow.log import read as log
from afterglow.retry import REREADS, attempts
from afterglow.segment import manifest as manifests
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.segment.manifest import SegmentInfo
from afterglow.storage.builds import Build
from afterglow.storage.ports import ObjectNotFound, Stores

_MAX_SHARE = 0.99
"""A build is done only when it is committed."""


@dataclass(frozen=True, slots=True)
class UnflushedLog:
    """The unflushed log of a collection: operations, bytes of batches, the number of the last log entry."""

    collection: Collection
    ops: int
    byte_size: int
    last_seq: int


def checkpoint_count(collection: Collection) -> int:
    """The number of checkpoints so far, the current one included. Raises Corrupt."""
    return 0 if collection.manifest_key is None else manifests.parse_key(collection.manifest_key).number


def unflushed(stores: Stores, collection_id: UUID) -> UnflushedLog | None:
    """The unflushed log; None for a collection that no longer exists. Raises Corrupt, Unavailable."""
    collection = collections.stored(stores.table, collection_id)
    return None if collection is None else _unflushed_after(stores, collection)


def waiting_ops(stores: Stores, log_tail: UnflushedLog) -> int:
    """The operations that wait for an index: unflushed, or flushed into segments that have none yet. Raises Corrupt.

    While a checkpoint is being replaced only the unflushed ones may be counted.
    """
    try:
        segments = _unindexed_segments(stores, log_tail.collection)
    except ObjectNotFound:
        return log_tail.ops
    return log_tail.ops + _waiting_rows(stores, segments)


def indexing_status(stores: Stores, collection: Collection) -> IndexingStatus:
    """Logged operations, and how many of them are indexed: flushed, and in a vector index if they need one.

    The record of a build is read before the state, so the progress does not fall back (`storage.builds`).
    Raises NotFound, Corrupt, Unavailable.
    """
    missing: ObjectNotFound | None = None
    for _ in attempts(stores.system, REREADS):
        build = None if stores.builds is None else stores.builds.current()
        unflushed_log = _unflushed_after(stores, collection)
        if unflushed_log is None:
            raise collections.not_found(collection.id)
        state = unflushed_log.collection
        try:
            segments = _unindexed_segments(stores, state)
        except ObjectNotFound as error:
            missing = error  # replaced and garbage collected since the state was read
            continue
        waiting = min(_waiting_rows(stores, segments), state.flushed_ops)
        return IndexingStatus(
            total_ops=state.flushed_ops + unflushed_log.ops,
            indexed_ops=state.flushed_ops - waiting,
            flushed_ops=state.flushed_ops,
            built_ops=_built_ops(build, collection.id, segments, waiting),
        )
    raise Corrupt(f"the checkpoint of collection {collection.id} cannot be read: {missing}; {RESTORE_HINT}")


def _unindexed_segments(stores: Stores, collection: Collection) -> list[SegmentInfo]:
    """The segments without a vector index."""
    if collection.manifest_key is None:
        return []
    segments = manifests.load(stores.objects, collection.manifest_key).segments
    return [segment for segment in segments if not segment.is_indexed]


def _waiting_rows(stores: Stores, unindexed: list[SegmentInfo]) -> int:
    """The rows of segments without an index, 0 where they are too few for one."""
    rows = manifests.live_rows(unindexed)
    return rows if rows >= stores.settings.hnsw_min_rows else 0


def _built_ops(build: Build | None, collection_id: UUID, unindexed: list[SegmentInfo], waiting: int) -> float:
    """How many of the operations that wait for an index the build so far amounts to."""
    if build is None or build.collection != str(collection_id):
        return 0.0
    if all(segment.id != build.segment for segment in unindexed):
        return 0.0  # committed since
    return min(build.share, _MAX_SHARE) * min(build.rows, waiting)


def _unflushed_after(stores: Stores, collection: Collection) -> UnflushedLog | None:
    """The log after the state's checkpoint, or after a newer one: the entries in between may be trimmed by now."""
    for _ in attempts(stores.system, REREADS):
        if collection.is_dropped:
            return None
        log_slice = log.read_after(stores.table, collection.id, collection.flushed_seq)
        if log_slice.state is None:
            return None
        if log_slice.state.version == collection.version and not log_slice.trimmed:
            return UnflushedLog(
                collection=collection,
                ops=sum(entry.op_count for entry in log_slice.entries),
                byte_size=sum(entry.byte_size for entry in log_slice.entries),
                last_seq=log_slice.entries[-1].seq if log_slice.entries else collection.flushed_seq,
            )
        collection = states.decode(log_slice.state)
    raise Corrupt(f"the log of collection {collection.id} does not continue after its checkpoint; {RESTORE_HINT}")
