"""The compaction policy: which segments to compact next, a pure function of the manifest.

Flushes leave small segments without graphs, which are searched exactly. They are compacted when together they are worth
a graph, and if possible by *extending* the graph of the largest segment, whose rows are then not inserted again. So
every row is inserted about once and copied about log(n) times, because a large segment is extended only when the rows
added to it are at least a quarter of its own. A segment that lost a quarter of its rows is rebuilt without them, which
reclaims their space. While the collection is idle, several graphs become one if it is not too large, because one graph
is searched faster than several; rows that come then are added to it at once, and not first to a graph of their own. So
are lists joined: a query probes the lists of several segments as if they were one index,
but at a million rows six segments need four times as many rows as one. A run of the smallest segments is joined as long
as a segment has at most twice as many rows as the smaller ones together (size-tiered compaction: O'Neil et al. 1996,
"The Log-Structured Merge-Tree"). So a row is clustered about five times while its collection grows to seventy times the
size, and the segments that stay apart are at least three times as large as the next smaller ones.

The index of the new segment is a graph, or lists from `lists_min_rows` rows on (setting `index`); in a collection of so
many rows smaller segments have lists, too. Lists are clustered anew by every compaction, which takes about a tenth of
the time that a graph takes.

Beside a server the compactions are **stepwise**: what was flushed without an index is scanned by every query, so a
backlog is compacted in steps, the oldest segments first, and each step ends with a manifest. A step of a small
collection extends its graph. A step of a large one becomes a segment with lists of its own. Those of less than
65,536 rows are **small**: under load they are joined when there are many of them. Larger ones are left alone until
there are more than twelve, of which the four smallest are joined, or until the collection is idle.

Memory and time limit the size of a segment: `compaction_memory_bytes` must hold its graph and its columns, and where a
compaction must end within a given time, as in a Lambda function, `max_segment_vector_bytes` limits its vectors. Lists
need little memory and time, so a segment with lists may have three times as many bytes of vectors, if all its files
have not more than four times as many. A larger collection grows by segments of that size, which are left alone until a
quarter of their rows is deleted. A bulk load that is flushed faster than it can be compacted is split into several such
segments (`independent_compactions`), each built directly from flushed segments, by as many indexers as there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from afterglow.jobs.segment_limits import MIN_LISTS_ROWS, IndexKind, index_kind, most_rows
from afterglow.segment.manifest import Manifest, SegmentInfo, live_rows
from afterglow.settings import Settings

_MIN_EXTENSION = 0.25
"""A graph is extended by at least this share of its rows."""
_MAX_DELETED = 0.25
"""A segment with a larger share of deleted rows is rebuilt."""
_INDEPENDENT_FILL = 0.75
"""An independent compaction has at least this share of the largest segment size."""
_MAX_SINGLE_INDEX_ROWS = 500_000
_TIER = 0.5
"""A segment with lists is joined with smaller ones that have at least this share of its rows together."""
_WORTH_A_STEP = 4
"""Under load so many times `hnsw_min_rows` are worth a step of a graph: each costs the rows before it some links."""
_GRAPH_STEP_ROWS = 32_768
"""The least rows of a step that extends a graph; more if the graph is larger, as each step writes all of it."""
_LISTS_STEP_ROWS, _MOST_STEP_ROWS = 65_536, 262_144
"""The least rows of a step that becomes lists; a quarter of the indexed rows if that is more, but at most the second.
The first is also the size from which lists are not small."""
_MAX_SMALL = 7
_MAX_LISTS = 12
_JOINED_LISTS = 4
_MAX_UNINDEXED_SEGMENTS = 16
_MAX_UNINDEXED_SEGMENTS_IDLE = 4


@dataclass(frozen=True, slots=True)
class Compaction:
    """Segments to rewrite as one, with an index or without.

    `base` is the input whose graph is extended; without a base all live rows are inserted.
    """

    inputs: tuple[SegmentInfo, ...]
    base: SegmentInfo | None
    index: IndexKind


def next_compaction(
    manifest: Manifest, settings: Settings, *, idle: bool, eager: bool = False, stepwise: bool = False
) -> Compaction | None:
    """The next compaction, None if there is nothing to compact. `idle`: the collection is not being written.

    `eager`: flushes do not wait for compactions, so whatever is worth a graph gets one even under a heavy write load.
    `stepwise`: queries do not wait for compactions either; see above.
    """
    if stepwise:
        return _next_step(manifest, settings, idle=idle)
    unindexed = sum(segment.rows for segment in manifest.segments if not segment.is_indexed)
    independent = independent_compactions(manifest, settings) if unindexed > most_rows(manifest, settings) else []
    return independent[0] if independent else _plan(manifest, manifest.segments, settings, idle=idle, eager=eager)


def independent_compactions(manifest: Manifest, settings: Settings) -> list[Compaction]:
    """Compactions of a bulk load: each run of flushed segments whose total size comes close to the maximum.

    They have no input in common and may run concurrently. A run depends on no segment after it, and the segments before
    it form complete runs themselves: so the set stays the same when more flushes follow, when one of them is done, or
    when the remaining segments are compacted. The id of its first input identifies a compaction.
    """
    max_rows = most_rows(manifest, settings)
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
    max_rows = most_rows(manifest, settings)
    sparse = [segment for segment in ascending if segment.deleted_rows > _MAX_DELETED * segment.rows]
    if sparse:
        return _compaction(manifest, _that_fit(max_rows, sparse), settings)
    unindexed = [segment for segment in ascending if not segment.is_indexed]
    enough = settings.hnsw_min_rows if idle or eager else max(settings.flush_ops, settings.hnsw_min_rows)
    rows = live_rows(segments)
    becomes_lists = index_kind(rows, settings, rows) is IndexKind.LISTS
    becomes_one_graph = idle and not becomes_lists and rows <= min(_MAX_SINGLE_INDEX_ROWS, max_rows)
    if _is_worth_an_index(unindexed, max(enough, 1), idle=idle):
        are_indexed = live_rows(unindexed) >= settings.hnsw_min_rows
        inputs = segments if becomes_one_graph and are_indexed else _extendable(ascending, unindexed)
        return _compaction(manifest, _that_fit(max_rows, inputs), settings)
    indexed = [segment for segment in ascending if segment.is_indexed]
    if not idle or len(indexed) < 2:
        return None
    if becomes_lists:
        return _joined(manifest, _that_fit(max_rows, _tier(indexed)), settings)
    return _compaction(manifest, segments, settings) if becomes_one_graph else None


def _next_step(manifest: Manifest, settings: Settings, *, idle: bool) -> Compaction | None:
    """The next stepwise compaction."""
    ascending = sorted(manifest.segments, key=lambda segment: segment.live_rows)
    rows = live_rows(ascending)
    if index_kind(MIN_LISTS_ROWS, settings, rows) is not IndexKind.LISTS:
        return _next_graph_step(manifest, settings, idle=idle)
    max_rows = most_rows(manifest, settings)
    sparse = [segment for segment in ascending if segment.deleted_rows > _MAX_DELETED * segment.rows]
    if sparse:
        return _compaction(manifest, _that_fit(max_rows, sparse), settings)
    indexed = [segment for segment in ascending if segment.is_indexed]
    small = [segment for segment in indexed if not segment.has_lists or segment.live_rows < _LISTS_STEP_ROWS]
    unindexed = [segment for segment in manifest.segments if not segment.is_indexed]
    enough = settings.hnsw_min_rows if idle else max(settings.hnsw_min_rows, MIN_LISTS_ROWS)
    if _is_worth_an_index(unindexed, max(enough, 1), idle=idle):
        indexed_rows = live_rows(indexed)
        step = _oldest(unindexed, min(max(_LISTS_STEP_ROWS, int(indexed_rows * _MIN_EXTENSION)), _MOST_STEP_ROWS))
        inputs = [*step, *small] if len(small) > _MAX_SMALL else _extendable(small, step) if idle else step
        return _compaction(manifest, _that_fit(max_rows, inputs), settings)
    if idle:
        return _joined(manifest, _that_fit(max_rows, _tier(indexed)), settings)
    smallest = indexed[:_JOINED_LISTS] if len(indexed) > _MAX_LISTS else ()
    return _joined(manifest, _that_fit(max_rows, smallest), settings)


def _next_graph_step(manifest: Manifest, settings: Settings, *, idle: bool) -> Compaction | None:
    """The next stepwise compaction of a collection with graphs: what is planned anyway, or less of it."""
    indexed_rows = live_rows(segment for segment in manifest.segments if segment.is_indexed)
    unindexed = [segment for segment in manifest.segments if not segment.is_indexed]
    step = _oldest(unindexed, max(_GRAPH_STEP_ROWS, indexed_rows, settings.hnsw_min_rows))
    if 2 * live_rows(unindexed[len(step) :]) <= live_rows(step):
        step = unindexed  # a step of its own for so few rows would write all of them again
    if not idle and not _is_worth_an_index(unindexed, _WORTH_A_STEP * settings.hnsw_min_rows, idle=False):
        step = []
    later = {segment.id for segment in unindexed[len(step) :]}
    segments = [segment for segment in manifest.segments if segment.id not in later]
    return _plan(manifest, segments, settings, idle=idle, eager=True)


def _oldest(segments: Sequence[SegmentInfo], rows: int) -> list[SegmentInfo]:
    """The first segments that have at least so many live rows together; all if they have fewer."""
    taken: list[SegmentInfo] = []
    missing = rows
    for segment in segments:
        if missing <= 0:
            break
        taken.append(segment)
        missing -= segment.live_rows
    return taken


def _tier(ascending: Sequence[SegmentInfo]) -> Sequence[SegmentInfo]:
    """The smallest segments that are worth one, up to the largest that is not much larger than those before it."""
    end = rows = 0
    for number, segment in enumerate(ascending):
        if number and rows >= _TIER * segment.live_rows:
            end = number + 1
        rows += segment.live_rows
    return ascending[:end]


def _joined(manifest: Manifest, inputs: Sequence[SegmentInfo], settings: Settings) -> Compaction | None:
    """The compaction of these segments, None if there are fewer than two."""
    return _compaction(manifest, inputs, settings) if len(inputs) > 1 else None


def _is_worth_an_index(unindexed: Sequence[SegmentInfo], enough: int, *, idle: bool) -> bool:
    """Whether segments without an index have enough rows together, or are too many."""
    most = _MAX_UNINDEXED_SEGMENTS_IDLE if idle else _MAX_UNINDEXED_SEGMENTS
    return live_rows(unindexed) >= enough or len(unindexed) > most


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
    inputs, rows = unindexed[::-1], live_rows(unindexed)
    for segment in ascending:
        if segment.is_indexed and segment.live_rows * _MIN_EXTENSION <= rows:
            inputs.append(segment)
            rows += segment.live_rows
    return inputs


def _rebuild(inputs: Sequence[SegmentInfo], settings: Settings) -> Compaction:
    return Compaction(tuple(inputs), None, index_kind(live_rows(inputs), settings))


def _compaction(manifest: Manifest, inputs: Sequence[SegmentInfo], settings: Settings) -> Compaction:
    rows = live_rows(inputs)
    extendable = [
        segment for segment in inputs if segment.has_graph and segment.deleted_rows <= _MAX_DELETED * segment.rows
    ]
    base = max(extendable, key=lambda segment: segment.live_rows, default=None)
    kind = index_kind(rows, settings, live_rows(manifest.segments))
    return Compaction(tuple(inputs), base if kind is IndexKind.GRAPH else None, kind)
