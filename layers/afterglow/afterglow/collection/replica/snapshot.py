"""A snapshot: a collection as it is at one position of its log. It never changes, and any number of reads use it."""

from collections.abc import Sequence
from dataclasses import dataclass

from afterglow.catalog import ttl
from afterglow.catalog.model import Collection
from afterglow.collection.replica.checkpoint import OpenCheckpoint
from afterglow.collection.replica.replica_state import RowGroupView, RowLocations
from afterglow.collection.replica.ttl_filter import TtlCutoff
from afterglow.collection.types import LogPosition
from afterglow.log.entry import Entry
from afterglow.segment.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An immutable snapshot of a collection.

    `applied_seq` is the number of the last log entry in it, `applied_ops` the operations up to there, `log_time` the
    log's time there (Unix milliseconds), `next_row_seq` the insertion sequence number of the next new record. `as_of`
    is the time of the snapshot in Unix seconds, never before the log's: records in it may have expired by then.
    `locations` are those of the ids that the snapshot was taken with; their group indexes are those of `row_groups`.
    `entries` are, for the indexer, the log entries after the checkpoint.
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
    def log_position(self) -> LogPosition:
        """Where the log ends in this snapshot."""
        state = self.collection
        return LogPosition(self.applied_seq, self.applied_ops, self.log_time, state.version, state.held_until)

    @property
    def expiry(self) -> TtlCutoff | None:
        """The TTL key and the time of the snapshot; None where records do not expire."""
        key = ttl.ttl_key(self.collection.metadata)
        return None if key is None else TtlCutoff(key, self.as_of)


def take_snapshot(
    checkpoint: OpenCheckpoint, collection: Collection, ids: Sequence[str] | None, as_of: float
) -> Snapshot:
    """A snapshot of an open checkpoint. Raises Corrupt if a mapped file was changed on disk."""
    state = checkpoint.state
    for segment in state.segments:
        segment.verify_unchanged()
    return Snapshot(
        collection=collection,
        manifest=state.manifest,
        row_groups=state.row_groups(),
        records=state.records,
        applied_seq=checkpoint.applied_seq,
        applied_ops=checkpoint.applied_ops,
        log_time=checkpoint.log_time,
        as_of=as_of,
        next_row_seq=state.next_row_seq,
        locations=None if ids is None else state.locate(ids),
        entries=tuple(checkpoint.entries or ()),
    )


@dataclass(frozen=True, slots=True)
class WarmRows:
    """The rows of segments and memtable, and the components of the vectors among them that are in no index."""

    rows: int
    unindexed_components: int


def warm_rows(checkpoint: OpenCheckpoint) -> WarmRows:
    """The rows of an open checkpoint."""
    rows, components = len(checkpoint.state.memtable), checkpoint.state.memtable.components
    for segment in checkpoint.state.segments:
        rows += segment.info.rows
        if segment.graph is None and segment.lists is None:
            components += segment.info.rows * segment.info.dimension
    return WarmRows(rows, components)
