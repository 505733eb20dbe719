"""The compaction policy: which segments to compact next, a pure function of the manifest.

Flushes leave small segments without graphs, which are searched exactly. They are compacted when together they are worth
a graph, and if possible by *extending* the graph of the largest segment, whose rows are then not inserted again. So
every row is inserted about once and copied about log(n) times, because a large segment is extended only when the rows
added to it are at least a quarter of its own. A segment that lost a quarter of its rows is rebuilt without them, which
reclaims their space. While the collection is idle, several graphs become one if it is not too large, because one graph
is searched faster than several. Lists are joined only when there are many of them: a query probes the lists of several
segments as if they were one index.

The index of the new segment is a graph, or lists from `lists_min_rows` rows on (setting `index`). Lists are clustered
anew by every compaction, which takes about a tenth of the time that a graph takes.

Memory and time limit the size of a segment: `compaction_memory_bytes` must hold its graph and its columns, and where a
compaction must end within a given time, as in a Lambda function, `max_segment_vector_bytes` limits its vectors. A
larger collection grows by segments of that size, which are left alone until a quarter of their rows is deleted. A bulk
load that is flushed faster than it can be compacted is split into several such segments (`independent_compactions`),
each built directly from flushed segments, by as many indexers as there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from afterglow.segment.manifest import POSTINGS, ROWS, Manifest, SegmentInfo
from afterglow.settings import Index, Settings

_LINK_BYTES = 400
"""Bytes per row of a graph besides its vector (2 or 4 bytes per component), spare capacity included."""
_COLUMN_COPIES = 3
_POSTING_COPIES = 4
"""How many times a compaction holds the bytes of columns, and of posting lists, in memory."""
_MIN_EXTENSION = 0.25
"""A graph is extended by at least this share of its rows."""
_MAX_DELETED = 0.25
"""A segment with a larger share of deleted rows is rebuilt."""
_INDEPENDENT_FILL = 0.75
"""An independent compaction has at least this share of the largest segment size."""
_MAX_SINGLE_INDEX_ROWS = 500_000
_MAX_INDEXES_IDLE = 4
"""So many indexes stay apart, if together they would be lists."""
_MAX_UNINDEXED_SEGMENTS = 16
_MAX_UNINDEXED_SEGMENTS_IDLE = 4


class IndexKind(StrEnum):
    """The index of a segment: none (it is searched exactly), an HNSW graph, or lists (see `segment`)."""

    NONE = "none"
    GRAPH = "graph"
    LISTS = "lists"


@dataclass(frozen=True, slots=True)
class Compaction:
    """Segments to rewrite as one, with an index or without.

    `base` is the input whose graph is extended; without a base all live rows are inserted.
    """

    inputs: tuple[SegmentInfo, ...]
    base: SegmentInfo | None
    index: IndexKind


def index_kind(rows: int, settings: Settings) -> IndexKind:
    """The index of a new segment with so many rows."""
    if rows < settings.hnsw_min_rows:
        return IndexKind.NONE
    if settings.index == Index.AUTO:
        return IndexKind.LISTS if rows >= settings.lists_min_rows else IndexKind.GRAPH
    return IndexKind(settings.index)


def next_compaction(manifest: Manifest, settings: Settings, *, idle: bool, eager: bool = False) -> Compaction | None:
    """The next compaction, None if there is nothing to compact. `idle`: the collection is not being written.

    `eager`: flushes do not wait for compactions, so whatever is worth a graph gets one even under a heavy write load.
    """
    unindexed = sum(segment.rows for segment in manifest.segments if not segment.is_indexed)
    independent = independent_compactions(manifest, settings) if unindexed > _max_rows(manifest, settings) else []
    return independent[0] if independent else _plan(manifest, manifest.segments, settings, idle=idle, eager=eager)


def independent_compactions(manifest: Manifest, settings: Settings) -> list[Compaction]:
    """Compactions of a bulk load: each run of flushed segments whose total size comes close to the maximum.

    They have no input in common and may run concurrently. A run depends on no segment after it, and the segments before
    it form complete runs themselves: so the set stays the same when more flushes follow, when one of them is done, or
    when the remaining segments are compacted. The id of its first input identifies a compaction.
    """
    max_rows = _max_rows(manifest, settings)
    compactions: list[Compaction] = []
    run: list[SegmentInfo] = []
    rows = 0
    for segment in manifest.segments:
        if segment.is_indexed:
            continue
        if run and rows + segment.rows > max_rows:
            break
        run.append(segment)
        rows += segment.rows
        if rows >= max(max_rows * _INDEPENDENT_FILL, settings.hnsw_min_rows):
            compactions.append(_rebuild(run, settings))
            run, rows = [], 0
    return compactions


def next_remaining(manifest: Manifest, settings: Settings, *, idle: bool, eager: bool = False) -> Compaction | None:
    """The next compaction of the segments that belong to no independent compaction."""
    claimed = {
        segment.id for compaction in independent_compactions(manifest, settings) for segment in compaction.inputs
    }
    segments = [segment for segment in manifest.segments if segment.id not in claimed]
    return _plan(manifest, segments, settings, idle=idle, eager=eager)


def _plan(
    manifest: Manifest, segments: Sequence[SegmentInfo], settings: Settings, *, idle: bool, eager: bool
) -> Compaction | None:
    ascending = sorted(segments, key=lambda segment: segment.live_rows)
    max_rows = _max_rows(manifest, settings)
    sparse = [segment for segment in ascending if segment.deleted_rows > _MAX_DELETED * segment.rows]
    if sparse:
        return _compaction(_that_fit(max_rows, sparse), settings)
    unindexed = [segment for segment in ascending if not segment.is_indexed]
    unindexed_rows = sum(segment.live_rows for segment in unindexed)
    enough = settings.hnsw_min_rows if idle or eager else max(settings.flush_ops, settings.hnsw_min_rows)
    if unindexed_rows >= max(enough, 1) or len(unindexed) > (
        _MAX_UNINDEXED_SEGMENTS_IDLE if idle else _MAX_UNINDEXED_SEGMENTS
    ):
        return _compaction(_that_fit(max_rows, _extendable(ascending, unindexed)), settings)
    indexes, rows = sum(segment.is_indexed for segment in segments), sum(segment.live_rows for segment in segments)
    most = _MAX_INDEXES_IDLE if index_kind(rows, settings) is IndexKind.LISTS else 1
    if idle and indexes > most and rows <= min(_MAX_SINGLE_INDEX_ROWS, max_rows):
        return _compaction(segments, settings)
    return None


def _max_rows(manifest: Manifest, settings: Settings) -> int:
    """The maximum number of rows of one segment; always enough for a graph."""
    dimension, rows = manifest.dimension, sum(segment.rows for segment in manifest.segments)
    if dimension is None or not rows:
        return rows
    by_memory = settings.compaction_memory_bytes // _row_bytes(manifest.segments, dimension, rows)
    by_time = settings.max_segment_vector_bytes // (4 * dimension) if settings.max_segment_vector_bytes else by_memory
    return max(min(by_memory, by_time), 4 * settings.hnsw_min_rows)


def _row_bytes(segments: Iterable[SegmentInfo], dimension: int, rows: int) -> int:
    """Memory in bytes that a compaction needs per row, estimated from the files of the segments."""
    files = [segment.files for segment in segments]
    in_memory = sum(
        _COLUMN_COPIES * roles[ROWS].size + (_POSTING_COPIES * roles[POSTINGS].size if POSTINGS in roles else 0)
        for roles in files
    )
    return 4 * dimension + _LINK_BYTES + in_memory // rows


def _that_fit(max_rows: int, segments: Iterable[SegmentInfo]) -> tuple[SegmentInfo, ...]:
    """The first segment, and each later one that fits: at most `max_rows` live rows together, or the first alone."""
    selected: list[SegmentInfo] = []
    rows = 0
    for segment in segments:
        if not selected or rows + segment.live_rows <= max_rows:
            selected.append(segment)
            rows += segment.live_rows
    return tuple(selected)


def _extendable(ascending: list[SegmentInfo], unindexed: list[SegmentInfo]) -> list[SegmentInfo]:
    """The unindexed segments, and every segment with a graph that is not much larger than the rows added to it."""
    # The largest first: even if not all fit, the result is worth a graph.
    inputs, rows = unindexed[::-1], sum(segment.live_rows for segment in unindexed)
    for segment in ascending:
        if segment.is_indexed and segment.live_rows * _MIN_EXTENSION <= rows:
            inputs.append(segment)
            rows += segment.live_rows
    return inputs


def _rebuild(inputs: Sequence[SegmentInfo], settings: Settings) -> Compaction:
    return Compaction(tuple(inputs), None, index_kind(sum(segment.live_rows for segment in inputs), settings))


def _compaction(inputs: Sequence[SegmentInfo], settings: Settings) -> Compaction:
    rows = sum(segment.live_rows for segment in inputs)
    extendable = [
        segment for segment in inputs if segment.has_graph and segment.deleted_rows <= _MAX_DELETED * segment.rows
    ]
    base = max(extendable, key=lambda segment: segment.live_rows, default=None)
    kind = index_kind(rows, settings)
    return Compaction(tuple(inputs), base if kind is IndexKind.GRAPH else None, kind)
