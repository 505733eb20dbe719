"""Writes a segment from rows of other row groups: of a replica's memtable (flush), or of other segments (compaction).

1. Write `vectors`, `rows` and `strings`, `postings` if there are sparse vectors, and `graph` if the segment is to have
   one, to temporary files.
2. Upload each under the new segment's own prefix. *Crash anywhere: orphans that no manifest lists, collected later.*

Memory holds the graph while it is built and, in turn, the columns; of vectors, strings and ids one chunk at a time, and
of mapped files the pages read since the last chunk. In addition there are about 80 bytes a row: its source, its
insertion sequence number, its norm, the hash of its id. The caller bounds all this by the rows it selects
(`jobs.compaction_policy`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns import serde
from afterglow.columns.concat import concat
from afterglow.columns.gather import GatheredStrings, GatherPlan
from afterglow.segment import array_file, distance, hnsw, id_index, postings
from afterglow.segment.array_file import ArrayStream, FileRef
from afterglow.segment.distance import Vectors
from afterglow.segment.hnsw import HnswBuild
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.row_group import RowSubset
from afterglow.storage.ports import Stores

_MAX_CHUNK_BYTES = 8 * 1024 * 1024
_CHUNKS_OF_MEMORY = 64
"""A chunk is this fraction of the memory that a compaction may use."""

ROWS, STRINGS, VECTORS, POSTINGS, GRAPH, DELETED = "rows", "strings", "vectors", "postings", "graph", "deleted"

Arrays = Mapping[str, NDArray[Any] | ArrayStream]


def write_segment(
    stores: Stores,
    prefix: str,
    subsets: Sequence[RowSubset],
    order: NDArray[np.int64],
    plan: HnswBuild | None,
) -> SegmentInfo:
    """Write the concatenated rows of `subsets`, permuted by `order`, as a new segment, numbered in that order.

    If `plan` extends a graph, the rows of that graph must come first in `order`, as they are there.
    """
    objects = stores.objects
    name = stores.system.nonce()
    rows, dimension = len(order), subsets[0].row_group.vectors.shape[1]
    gather_plan = GatherPlan.of([subset.rows for subset in subsets], order)
    chunk_bytes = min(max(stores.settings.compaction_memory_bytes // _CHUNKS_OF_MEMORY, 1), _MAX_CHUNK_BYTES)
    files: dict[str, FileRef] = {}

    def write(role: str, meta: dict[str, Any], arrays: Arrays) -> None:
        path = objects.temporary_path(f"{name}-{role}")
        checksum = array_file.write(path, role, meta, arrays)
        files[role] = array_file.upload(objects, f"{prefix}{name}/{role}", path, checksum)

    vectors_path = objects.temporary_path(f"{name}-{VECTORS}")
    norms = np.empty(rows, dtype=np.float32)
    chunks = _vector_chunks(subsets, gather_plan, norms, chunk_bytes)
    checksum = array_file.write(vectors_path, VECTORS, {}, {VECTORS: ArrayStream("<f4", (rows, dimension), chunks)})
    if plan is not None:
        graph_path = objects.temporary_path(f"{name}-{GRAPH}")
        hnsw.build(graph_path, plan, array_file.map_arrays(vectors_path, VECTORS)[VECTORS])
        files[GRAPH] = array_file.upload(objects, f"{prefix}{name}/{GRAPH}", graph_path)
    files[VECTORS] = array_file.upload(objects, f"{prefix}{name}/{VECTORS}", vectors_path, checksum)

    write(
        STRINGS,
        *_string_arrays(
            subsets,
            chunk_bytes,
            documents=GatheredStrings([subset.row_group.documents for subset in subsets], gather_plan),
            uris=GatheredStrings([subset.row_group.uris for subset in subsets], gather_plan),
            metadatas=GatheredStrings([subset.row_group.metadatas for subset in subsets], gather_plan),
        ),
    )
    ids = GatheredStrings([subset.row_group.ids for subset in subsets], gather_plan)
    hashes, hash_rows = id_index.build_from_utf8(ids.iter_rows(chunk_bytes), rows)
    columns = concat([(subset.row_group.columns, subset.rows) for subset in subsets], order)
    columns_meta, buffers = serde.to_buffers(columns)
    meta, arrays = _string_arrays(subsets, chunk_bytes, ids=ids)
    arrays = {
        **arrays,
        "row_seqs": np.concatenate([subset.row_group.row_seqs[subset.rows] for subset in subsets])[order],
        "norms": norms,
        "hashes": hashes,
        "hash_rows": hash_rows,
        **{
            f"column{number}": ArrayStream(dtype.str, (sum(map(len, buffer)),), buffer)
            for number, (buffer, dtype) in enumerate(zip(buffers, serde.DTYPES, strict=True))
        },
    }
    write(ROWS, {**meta, "columns": columns_meta}, arrays)
    inverted = postings.serialize(columns)
    if inverted is not None:
        write(POSTINGS, *inverted)
    return SegmentInfo(name, rows, dimension, files)


def write_deletions(stores: Stores, prefix: str, segment: SegmentInfo, deleted: NDArray[np.bool_]) -> FileRef:
    """Write the deletion vector of a segment: its deleted rows, ascending, of a mask (rows,)."""
    nonce = stores.system.nonce()
    path = stores.objects.temporary_path(f"{nonce}-{DELETED}")
    array_file.write(path, DELETED, {}, {DELETED: np.flatnonzero(deleted).astype(np.uint32)})
    return array_file.upload(stores.objects, f"{prefix}{segment.id}/{DELETED}-{nonce}", path)


def _string_arrays(
    subsets: Sequence[RowSubset], chunk_bytes: int, **columns: GatheredStrings
) -> tuple[dict[str, Any], Arrays]:
    meta: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any] | ArrayStream] = {}
    for name, strings in columns.items():
        chunks = _release_after_chunks(strings.chunks(chunk_bytes), subsets)
        meta[name] = strings.header()
        arrays[f"{name}0"] = ArrayStream("|u1", (int(strings.offsets[-1]),), chunks)
        arrays[f"{name}1"] = strings.offsets
        if strings.validity is not None:
            arrays[f"{name}2"] = strings.validity.view(np.uint8)
    return meta, arrays


def _release_after_chunks(
    chunks: Iterator[NDArray[np.uint8]], subsets: Sequence[RowSubset]
) -> Iterator[NDArray[np.uint8]]:
    """The chunks; after each of them the pages that were read for it are released."""
    for chunk in chunks:
        yield chunk
        for subset in subsets:
            array_file.release_pages(subset.row_group.documents.data)
            array_file.release_pages(subset.row_group.ids.data)


def _vector_chunks(
    subsets: Sequence[RowSubset], plan: GatherPlan, norms: Vectors, chunk_bytes: int
) -> Iterator[Vectors]:
    """The vectors of the rows, in chunks (≤ n, d) of about `chunk_bytes`; fills in `norms` at the same time."""
    dimension = subsets[0].row_group.vectors.shape[1]
    chunk_rows = max(chunk_bytes // (4 * dimension), 1)
    for start in range(0, len(plan), chunk_rows):
        stop = min(start + chunk_rows, len(plan))
        chunk = np.empty((stop - start, dimension), dtype=np.float32)
        for number, positions, rows in plan.chunk(start, stop):
            chunk[positions] = subsets[number].row_group.vectors[rows]
            array_file.release_pages(subsets[number].row_group.vectors)
        norms[start:stop] = distance.squared_norms(chunk)
        yield chunk
