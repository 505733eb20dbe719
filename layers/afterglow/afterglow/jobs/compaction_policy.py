"""Which segments to merge next: pure decisions over a manifest.

Folds leave small segments without graphs, searched exactly. They are merged when together they are worth a graph, and
where possible by *extending* the graph of the largest segment, whose rows are then not inserted again: every row is
inserted about once, and copied about log(n) times, because a large segment is extended only when what joins it is at
least a quarter of its rows. A segment that lost a quarter of its rows is written anew without them, which gives the
space back. In quiet times several graphs become one, if that is not too large: one graph is searched faster than
several.

Memory and time bound what may become one segment: `compaction_memory_bytes` holds its graph and its columns, and where a merge must
end in a given time, as in a Lambda function, `max_segment_vector_bytes` are its vectors. A larger collection grows by segments of
that size, which are left alone until a quarter of their rows is dead. A bulk load that is folded faster than it can be
merged comes to several such segments (`wholes`), each built at once of what was folded, by as many indexers as there
are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from afterglow.segment.manifest import Manifest, SegmentInfo
from afterglow.segment.writer import POSTINGS, ROWS
from afterglow.settings import Settings

_LINKS = 400
"""Bytes of a row in a graph besides its vector, which takes 2 or 4 a component: with what is kept in reserve."""
_COLUMNS = 3
_LISTS = 4
"""How many times the bytes of columns, and of inverted lists, a merge holds in memory."""
_JOIN = 0.25
_DEAD = 0.25
_WHOLE = 0.75
_QUIET_ROWS = 500_000
_MOST_SMALL = 16
_MOST_SMALL_QUIET = 4


@dataclass(frozen=True, slots=True)
class Compaction:
    """Segments to become one. `base` is the one whose graph is extended; without it all live rows are inserted."""

    inputs: tuple[SegmentInfo, ...]
    base: SegmentInfo | None
    graph: bool


def next_compaction(manifest: Manifest, settings: Settings, *, quiet: bool, eager: bool = False) -> Compaction | None:
    """The next merge, or None when the segments are as they should be.

    `eager`: no fold waits for a merge, so what is worth a graph gets it also while much is written.
    """
    flat = sum(each.rows for each in manifest.segments if not each.has_graph)
    whole = independent_compactions(manifest, settings) if flat > _most_rows(manifest, settings) else []
    return whole[0] if whole else _plan(manifest, manifest.segments, settings, quiet=quiet, eager=eager)


def independent_compactions(manifest: Manifest, settings: Settings) -> list[Compaction]:
    """Merges of a bulk load: each run of folds that together come close to what may become one segment.

    They have no input in common and may be carried out side by side. A run depends on no segment after it, and those
    before it are whole runs themselves: so which they are does not change when folds follow, when one of them is done,
    or when the rest is merged. The name of the first input tells one from the others.
    """
    most = _most_rows(manifest, settings)
    found: list[Compaction] = []
    run: list[SegmentInfo] = []
    rows = 0
    for each in manifest.segments:
        if each.has_graph:
            continue
        if run and rows + each.rows > most:
            break
        run.append(each)
        rows += each.rows
        if rows >= max(most * _WHOLE, settings.hnsw_min_rows):
            found.append(_rebuild(run, settings))
            run, rows = [], 0
    return found


def next_remaining(manifest: Manifest, settings: Settings, *, quiet: bool, eager: bool = False) -> Compaction | None:
    """The next merge besides `wholes`, which leaves what is of one of them alone."""
    taken = {each.id for merge in independent_compactions(manifest, settings) for each in merge.inputs}
    segments = [each for each in manifest.segments if each.id not in taken]
    return _plan(manifest, segments, settings, quiet=quiet, eager=eager)


def _plan(
    manifest: Manifest, segments: Sequence[SegmentInfo], settings: Settings, *, quiet: bool, eager: bool
) -> Compaction | None:
    ascending = sorted(segments, key=lambda each: each.live_rows)
    most = _most_rows(manifest, settings)
    decayed = [each for each in ascending if each.deleted_rows > _DEAD * each.rows]
    if decayed:
        return _merge(_that_fit(most, decayed), settings)
    small = [each for each in ascending if not each.has_graph]
    small_rows = sum(each.live_rows for each in small)
    enough = settings.hnsw_min_rows if quiet or eager else max(settings.flush_ops, settings.hnsw_min_rows)
    if small_rows >= max(enough, 1) or len(small) > (_MOST_SMALL_QUIET if quiet else _MOST_SMALL):
        return _merge(_that_fit(most, _extendable(ascending, small)), settings)
    graphs = [each for each in segments if each.has_graph]
    if quiet and len(graphs) > 1 and sum(each.live_rows for each in segments) <= min(_QUIET_ROWS, most):
        return _merge(segments, settings)
    return None


def _most_rows(manifest: Manifest, settings: Settings) -> int:
    """How many rows may become one segment; always enough that what is merged gets a graph."""
    dimension, rows = manifest.dimension, sum(each.rows for each in manifest.segments)
    if dimension is None or not rows:
        return rows
    by_memory = settings.compaction_memory_bytes // _row_bytes(manifest.segments, dimension, rows)
    by_time = settings.max_segment_vector_bytes // (4 * dimension) if settings.max_segment_vector_bytes else by_memory
    return max(min(by_memory, by_time), 4 * settings.hnsw_min_rows)


def _row_bytes(segments: Iterable[SegmentInfo], dimension: int, rows: int) -> int:
    """Memory that a merge needs for a row, estimated from the files of those to be merged."""
    files = [each.files for each in segments]
    held = sum(_COLUMNS * each[ROWS].size + (_LISTS * each[POSTINGS].size if POSTINGS in each else 0) for each in files)
    return 4 * dimension + _LINKS + held // rows


def _that_fit(most: int, wanted: Iterable[SegmentInfo]) -> tuple[SegmentInfo, ...]:
    """The first of `wanted`, and each after it that fits: together they have at most `most` live rows."""
    chosen: list[SegmentInfo] = []
    rows = 0
    for each in wanted:
        if not chosen or rows + each.live_rows <= most:
            chosen.append(each)
            rows += each.live_rows
    return tuple(chosen)


def _extendable(ascending: list[SegmentInfo], small: list[SegmentInfo]) -> list[SegmentInfo]:
    """The small segments, and every graph segment that is not much larger than all that joins it."""
    # The largest first: where not all fit, what is merged is certainly worth a graph.
    inputs, rows = small[::-1], sum(each.live_rows for each in small)
    for each in ascending:
        if each.has_graph and each.live_rows * _JOIN <= rows:
            inputs.append(each)
            rows += each.live_rows
    return inputs


def _rebuild(inputs: Sequence[SegmentInfo], settings: Settings) -> Compaction:
    return Compaction(tuple(inputs), None, sum(each.live_rows for each in inputs) >= settings.hnsw_min_rows)


def _merge(inputs: Sequence[SegmentInfo], settings: Settings) -> Compaction:
    rows = sum(each.live_rows for each in inputs)
    sound = [each for each in inputs if each.has_graph and each.deleted_rows <= _DEAD * each.rows]
    base = max(sound, key=lambda each: each.live_rows, default=None)
    return Compaction(tuple(inputs), base if rows >= settings.hnsw_min_rows else None, rows >= settings.hnsw_min_rows)
