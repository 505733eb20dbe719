"""What index a segment gets, and how many rows it has at most: by the memory and the time of the compaction."""

from collections.abc import Iterable
from enum import StrEnum

from afterglow.segment.manifest import POSTINGS, ROWS, Manifest, SegmentInfo
from afterglow.settings import Index, Settings

_LINK_BYTES = 400
"""Bytes per row of a graph besides its vector (2 or 4 bytes per component), spare capacity included."""
_LIST_BYTES = 256
"""Bytes per row while lists are built, wherever the vectors are."""
_LISTS_FACTOR = 3
"""Lists of so many times as many vectors are built in less than half of the time of a graph."""
_FILES_FACTOR = 4
"""So many times as many bytes of all files are read, and somewhat more are written, on the disk of a function."""
_COLUMN_COPIES = 3
_POSTING_COPIES = 4
"""How many times a compaction holds the bytes of columns, and of posting lists, in memory."""
MIN_LISTS_ROWS = 16_384
"""The least rows of a segment with lists in a large collection."""


class IndexKind(StrEnum):
    """The index of a segment: none (it is searched exactly), an HNSW graph, or lists (see `segment`)."""

    NONE = "none"
    GRAPH = "graph"
    LISTS = "lists"


def index_kind(rows: int, settings: Settings, collection_rows: int = 0) -> IndexKind:
    """The index of a new segment with this many rows, in a collection of `collection_rows`."""
    if rows < settings.hnsw_min_rows:
        return IndexKind.NONE
    if settings.index == Index.AUTO:
        least = settings.lists_min_rows
        if collection_rows >= least:
            least = min(MIN_LISTS_ROWS, least)
        return IndexKind.LISTS if rows >= least else IndexKind.GRAPH
    return IndexKind(settings.index)


def most_rows(manifest: Manifest, settings: Settings) -> int:
    """The maximum number of rows of one segment; always enough for an index."""
    dimension, rows = manifest.dimension, sum(segment.rows for segment in manifest.segments)
    if dimension is None or not rows:
        return rows
    limit, memory = settings.max_segment_vector_bytes, settings.compaction_memory_bytes
    columns = _column_bytes(manifest.segments) // rows
    by_time = limit // (4 * dimension)
    most = memory // (4 * dimension + _LINK_BYTES + columns)
    if limit:
        most = min(most, by_time)
    if index_kind(most, settings, most) is IndexKind.LISTS:
        most = memory // (_LIST_BYTES + columns)
        if limit:
            size = max(sum(segment.size for segment in manifest.segments), 1)
            most = min(most, _LISTS_FACTOR * by_time, _FILES_FACTOR * limit * rows // size)
    return max(most, 4 * settings.hnsw_min_rows)


def _column_bytes(segments: Iterable[SegmentInfo]) -> int:
    """Memory in bytes that a compaction needs for columns and posting lists, estimated from the segments' files."""
    files = [segment.files for segment in segments]
    return sum(
        _COLUMN_COPIES * roles[ROWS].size + (_POSTING_COPIES * roles[POSTINGS].size if POSTINGS in roles else 0)
        for roles in files
    )
