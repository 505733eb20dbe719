"""The time that steps of the indexer are expected to take, for callers whose time is limited."""

from collections.abc import Callable

from afterglow.collection.replica.snapshot import Snapshot
from afterglow.jobs.compaction_policy import Compaction
from afterglow.jobs.segment_limits import IndexKind
from afterglow.settings import Settings

TimeBudget = Callable[[float], bool]
"""Whether a step may start that is expected to take this many seconds."""

_FLOATS_PER_SECOND = 600_000
"""Vector components per second that a thread of a slow core inserts into a graph: 1,500 rows of 384."""
_BYTES_PER_SECOND = 20_000_000
"""Throughput of a step that reads its inputs, processes them and writes its outputs."""


def no_time_limit(seconds: float) -> bool:
    """A budget without a limit."""
    del seconds
    return True


def flush_seconds(snapshot: Snapshot) -> float:
    """Estimated time to flush the memtable."""
    memtable = snapshot.row_groups[len(snapshot.manifest.segments) :]
    return 2 * sum(group.rows.vectors.nbytes for group in memtable) / _BYTES_PER_SECOND


def compaction_seconds(compaction: Compaction, settings: Settings) -> float:
    """Estimated time to read, to write, and to insert the rows that an extended graph does not have."""
    size = sum(segment.size for segment in compaction.inputs)
    new = (
        [segment for segment in compaction.inputs if segment != compaction.base]
        if compaction.index is IndexKind.GRAPH
        else []
    )
    inserted = sum(segment.live_rows * segment.dimension for segment in new)
    return 2 * size / _BYTES_PER_SECOND + inserted / (_FLOATS_PER_SECOND * max(settings.compaction_threads, 1))
