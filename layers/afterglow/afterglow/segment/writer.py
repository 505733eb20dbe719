"""Writes a segment from rows of other row groups: of a replica's memtable (flush), or of other segments (compaction).

1. For a clustered segment, cluster the rows first (`cluster_rows`); the rows are then numbered list by list.
2. Write `vectors`, then the index: `graph`, or `records` and `places` in insertion order, `lists`, `binary_codes` and
   `centroids`; then `strings`, `rows`, and `postings` if there are sparse vectors; of a clustered segment `covering`
   and `narrow` if there are keys worth it, and at last `contents`; all to temporary files. The index is measured before
   its files are complete (`segment.breadth`).
3. Upload each under the new segment's own prefix. *Crash anywhere: orphans that no manifest lists, collected later.
   Failure, such as a full disk: both kinds of files are removed at once.*

Memory holds the graph while it is built and, in turn, the columns; of vectors, strings and ids one chunk at a time, and
of mapped files the pages read since the last chunk. In addition there are about 80 bytes a row, 200 in a clustered
segment: its source, its insertion sequence number, its norm, the hash of its id, the place of its record. The caller
bounds all this by the rows it selects (`jobs.compaction_policy`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from afterglow.columns.concat import concat
from afterglow.columns.gather import GatheredStrings, GatherPlan
from afterglow.columns.string_column import StringColumn
from afterglow.segment import (
    array_file,
    clustering,
    contents,
    covering_writer,
    distance,
    graph_writer,
    lists_writer,
    narrow_columns,
    places_writer,
    postings,
    progress,
    projection,
)
from afterglow.segment import records as record_file
from afterglow.segment.array_file import ArrayStream, FileRef
from afterglow.segment.binary_codes import BINARY_CODES
from afterglow.segment.clustering import Clustering
from afterglow.segment.contents import CONTENTS, PLACES, Blocks, Samples
from afterglow.segment.covering_index import COVERING
from afterglow.segment.covering_writer import ClusteredRows
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.hnsw import HnswBuild
from afterglow.segment.list_index import CENTROIDS, LISTS
from afterglow.segment.lists_writer import StoredRows
from afterglow.segment.manifest import DELETED, POSTINGS, RECORDS, ROWS, STRINGS, VECTORS, SegmentInfo
from afterglow.segment.narrow_columns import NARROW
from afterglow.segment.new_files import NewFiles, removed_on_failure
from afterglow.segment.precision import golden_sample
from afterglow.segment.progress import OnShare
from afterglow.segment.row_arrays import Arrays, release_after_chunks, row_arrays, string_arrays
from afterglow.segment.row_group import RowSubset
from afterglow.segment.row_source import RowSource
from afterglow.storage import file_map
from afterglow.storage.ports import Stores

_MAX_CHUNK_BYTES = 8 * 1024 * 1024
_CHUNKS_OF_MEMORY = 64
"""A chunk is this fraction of the memory that a compaction may use."""

_PROJECTION_SAMPLE = 4_096


@dataclass(frozen=True, slots=True)
class ListsBuild:
    """The lists of a segment whose rows are in the order of the clustering; `recall` is promised, 0 to 1."""

    clustering: Clustering
    recall: float


def cluster_rows(
    stores: Stores,
    space: Space,
    subsets: Sequence[RowSubset],
    order: NDArray[np.int64],
    on_share: OnShare = progress.ignore,
) -> Clustering | None:
    """Cluster the concatenated rows of `subsets`, permuted by `order`; None where their norms overflow.

    The new segment's order is ``order[clustering.order]``.
    """
    chunk_bytes = _chunk_bytes(stores)
    source = RowSource(subsets, order, chunk_bytes)
    sample = source.vectors(golden_sample(len(source), _PROJECTION_SAMPLE))
    fitted = projection.fit(space, sample, source.largest_norm() if space is Space.IP else 0.0)
    if fitted is None:
        return None
    chunk_rows = max(chunk_bytes // (4 * fitted.width), 1)
    return clustering.cluster(lambda rows: fitted.rows(source.vectors(rows)), len(source), fitted, chunk_rows, on_share)


def write_segment(
    stores: Stores,
    prefix: str,
    subsets: Sequence[RowSubset],
    order: NDArray[np.int64],
    plan: HnswBuild | ListsBuild | None,
    *,
    on_share: OnShare = progress.ignore,
) -> SegmentInfo:
    """Write the concatenated rows of `subsets`, permuted by `order`, as a new segment, numbered in that order.

    If `plan` extends a graph, the rows of that graph must come first in `order`, as they are there. `on_share` receives
    the share of the index that is built.
    """
    with removed_on_failure(stores.objects) as files:
        return _write_segment(files, stores, prefix, subsets, order, plan=plan, on_share=on_share)


def _write_segment(
    objects: NewFiles,
    stores: Stores,
    prefix: str,
    subsets: Sequence[RowSubset],
    order: NDArray[np.int64],
    *,
    plan: HnswBuild | ListsBuild | None,
    on_share: OnShare,
) -> SegmentInfo:
    name = stores.system.nonce()
    rows, dimension = len(order), subsets[0].row_group.vectors.shape[1]
    gather_plan = GatherPlan.of([subset.rows for subset in subsets], order)
    chunk_bytes = _chunk_bytes(stores)
    files: dict[str, FileRef] = {}
    described: dict[str, Blocks] = {}
    roots: tuple[Samples, StoredRows] | None = None

    def path_of(role: str) -> Path:
        return objects.temporary_path(f"{name}-{role}")

    def store(role: str, path: Path, checksum: str | None) -> None:
        if isinstance(plan, ListsBuild) and role in contents.BLOCK_BYTES:
            described[role] = Blocks.of(path, role)
        files[role] = array_file.upload(objects, f"{prefix}{name}/{role}", path, checksum)

    def write(role: str, meta: dict[str, Any], arrays: Arrays) -> None:
        path = path_of(role)
        store(role, path, array_file.write(path, role, meta, arrays))

    sources_of_columns = [
        [getattr(subset.row_group, column) for subset in subsets]
        for column in ("ids", "documents", "uris", "metadatas")
    ]
    ids, documents, uris, metadatas = (GatheredStrings(sources, gather_plan) for sources in sources_of_columns)
    vectors_path = path_of(VECTORS)
    norms = np.empty(rows, dtype=np.float32)
    row_seqs = np.concatenate([subset.row_group.row_seqs[subset.rows] for subset in subsets])[order]
    checksums = np.empty(rows if isinstance(plan, ListsBuild) else 0, dtype=np.uint64)
    chunks = _vector_chunks(subsets, gather_plan, norms, checksums, chunk_bytes)
    checksum = array_file.write(vectors_path, VECTORS, {}, {VECTORS: ArrayStream("<f4", (rows, dimension), chunks)})
    meta: dict[str, Any] = {}
    basis: dict[str, NDArray[Any]] = {}
    if isinstance(plan, HnswBuild):
        vectors = array_file.map_arrays(vectors_path, VECTORS)[VECTORS]
        graph = graph_writer.write(path_of, plan, vectors, norms, on_share)
        meta, basis = graph.meta, graph.arrays
        store(graph.role, graph.path, None)
    elif plan is not None:
        insertion = np.argsort(row_seqs, kind="stable")
        offsets, lengths, sums = _write_records(
            write, subsets, sources_of_columns, gather_plan.take(insertion), chunk_bytes
        )
        positions = np.empty(rows, dtype=np.int64)
        positions[insertion] = np.arange(rows)
        vectors = array_file.map_arrays(vectors_path, VECTORS)[VECTORS]
        stored = StoredRows(
            vectors, norms, row_seqs, checksums, offsets[positions], lengths[positions], sums[positions]
        )
        path = path_of(PLACES)
        checksum_of_places, samples = places_writer.write(path, stored, ids.iter_rows(chunk_bytes), insertion)
        roots = samples, stored
        store(PLACES, path, checksum_of_places)
        paths = {role: path_of(role) for role in (LISTS, BINARY_CODES, CENTROIDS)}
        written = lists_writer.write(paths, plan.clustering, stored, plan.recall, on_share=on_share)
        for role, checksum_of_role in written.items():
            store(role, paths[role], checksum_of_role)
    store(VECTORS, vectors_path, checksum)

    write(STRINGS, *string_arrays(subsets, chunk_bytes, documents=documents, uris=uris, metadatas=metadatas))
    columns = concat([(subset.row_group.columns, subset.rows) for subset in subsets], order)
    rows_meta, arrays = row_arrays(subsets, chunk_bytes, ids, columns, row_seqs=row_seqs, norms=norms)
    write(ROWS, {**rows_meta, **meta}, {**arrays, **basis})
    inverted = postings.serialize(columns)
    if inverted is not None:
        write(POSTINGS, *inverted)
    if roots is not None and isinstance(plan, ListsBuild):
        samples, stored = roots
        _write_for_filters(path_of, store, ClusteredRows(plan.clustering, stored, columns), plan.recall)
        path = path_of(CONTENTS)
        store(CONTENTS, path, contents.write(path, described, samples, stored.record_bytes))
    return SegmentInfo(name, rows, dimension, files)


def _write_records(
    write: Callable[[str, dict[str, Any], Arrays], None],
    subsets: Sequence[RowSubset],
    columns: Sequence[Sequence[StringColumn]],
    plan: GatherPlan,
    chunk_bytes: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    """Write the file `records` in the order of `plan`; offset, length and xxh3-64 of each record, (n,)."""
    strings = [GatheredStrings(sources, plan) for sources in columns]
    bounds, sums = record_file.offsets(strings), np.empty(len(plan), dtype=np.uint64)
    chunks = release_after_chunks(record_file.chunks(strings, sums, chunk_bytes), subsets)
    write(RECORDS, {}, {RECORDS: ArrayStream("|u1", (int(bounds[-1]),), chunks)})
    return bounds[:-1], np.diff(bounds), sums


def _write_for_filters(
    path_of: Callable[[str], Path], store: Callable[[str, Path, str | None], None], new: ClusteredRows, recall: float
) -> None:
    """Write the files `covering` and `narrow`, where a key is worth it."""
    paths = {role: path_of(role) for role in (COVERING, NARROW)}
    checksums = {
        COVERING: covering_writer.write(paths[COVERING], path_of(f"{COVERING}-codes"), new, recall),
        NARROW: narrow_columns.write(paths[NARROW], new.columns),
    }
    for role, checksum in checksums.items():
        if checksum is not None:
            store(role, paths[role], checksum)


def _chunk_bytes(stores: Stores) -> int:
    return min(max(stores.settings.compaction_memory_bytes // _CHUNKS_OF_MEMORY, 1), _MAX_CHUNK_BYTES)


def write_deletions(stores: Stores, prefix: str, segment: SegmentInfo, deleted: NDArray[np.bool_]) -> FileRef:
    """Write the deletion vector of a segment: its deleted rows, ascending, of a mask (rows,)."""
    nonce = stores.system.nonce()
    with removed_on_failure(stores.objects) as objects:
        path = objects.temporary_path(f"{nonce}-{DELETED}")
        array_file.write(path, DELETED, {}, {DELETED: np.flatnonzero(deleted).astype(np.uint32)})
        return array_file.upload(objects, f"{prefix}{segment.id}/{DELETED}-{nonce}", path)


def _vector_chunks(
    subsets: Sequence[RowSubset],
    plan: GatherPlan,
    norms: Vectors,
    checksums: NDArray[np.uint64],
    chunk_bytes: int,
) -> Iterator[Vectors]:
    """The vectors of the rows, in chunks (≤ n, d) of about `chunk_bytes`.

    Fills in `norms` and, unless it is empty, `checksums` (the xxh3-64 of each row) at the same time.
    """
    dimension = subsets[0].row_group.vectors.shape[1]
    chunk_rows = max(chunk_bytes // (4 * dimension), 1)
    for start in range(0, len(plan), chunk_rows):
        stop = min(start + chunk_rows, len(plan))
        chunk = np.empty((stop - start, dimension), dtype=np.float32)
        for number, positions, rows in plan.chunk(start, stop):
            chunk[positions] = subsets[number].row_group.vectors[rows]
            file_map.release_pages(subsets[number].row_group.vectors)
        norms[start:stop] = distance.squared_norms(chunk)
        if len(checksums):
            checksums[start:stop] = [xxhash.xxh3_64_intdigest(vector) for vector in chunk]
        yield chunk
