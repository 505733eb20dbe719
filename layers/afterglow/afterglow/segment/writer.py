"""Writing a segment from rows of other parts: of a replica's tail (fold), or of other segments (compaction).

1. Write `vectors`, `rows` and `texts`, `postings` where there are sparse vectors, and `graph` where the segment is to
   have one, to scratch files.
2. Upload each under the new segment's own prefix. *Crash anywhere: orphans that no manifest names, collected later.*

Memory holds the graph while it is built and, in turn, the columns; of vectors, texts and ids a piece at a time, and of
what is mapped what was read since the last piece. Besides these there are about 80 bytes a row: where it comes from,
its ordinal, its norm, the hash of its id. How large all this may get is up to who chooses the rows (`jobs.compaction_policy`).
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

_MOST_PIECE = 8 * 1024 * 1024
_PIECES = 64
"""A piece is a small share of the memory that a merge may have."""

ROWS, STRINGS, VECTORS, POSTINGS, GRAPH, DELETED = "rows", "strings", "vectors", "postings", "graph", "deleted"

Arrays = Mapping[str, NDArray[Any] | ArrayStream]


def write_segment(
    stores: Stores,
    prefix: str,
    subsets: Sequence[RowSubset],
    order: NDArray[np.int64],
    plan: HnswBuild | None,
) -> SegmentInfo:
    """Write the concatenation of `chosen`, permuted by `order`, as a new segment; its rows are numbered in that order.

    Where the graph plan has a base, its rows must come first in `order`, as they are there.
    """
    objects = stores.objects
    name = stores.system.nonce()
    rows, dimension = len(order), subsets[0].row_group.vectors.shape[1]
    picks = GatherPlan.of([each.rows for each in subsets], order)
    piece = min(max(stores.settings.compaction_memory_bytes // _PIECES, 1), _MOST_PIECE)
    files: dict[str, FileRef] = {}

    def write(role: str, meta: dict[str, Any], arrays: Arrays) -> None:
        scratch = objects.temporary_path(f"{name}-{role}")
        files[role] = array_file.upload(
            objects, f"{prefix}{name}/{role}", scratch, array_file.write(scratch, role, meta, arrays)
        )

    vectors = objects.temporary_path(f"{name}-{VECTORS}")
    norms = np.empty(rows, dtype=np.float32)
    pieces = _vector_chunks(subsets, picks, norms, piece)
    checksum = array_file.write(vectors, VECTORS, {}, {VECTORS: ArrayStream("<f4", (rows, dimension), pieces)})
    if plan is not None:
        scratch = objects.temporary_path(f"{name}-{GRAPH}")
        hnsw.build(scratch, plan, array_file.map_arrays(vectors, VECTORS)[VECTORS])
        files[GRAPH] = array_file.upload(objects, f"{prefix}{name}/{GRAPH}", scratch)
    files[VECTORS] = array_file.upload(objects, f"{prefix}{name}/{VECTORS}", vectors, checksum)

    write(
        STRINGS,
        *_string_arrays(
            subsets,
            piece,
            documents=GatheredStrings([each.row_group.documents for each in subsets], picks),
            uris=GatheredStrings([each.row_group.uris for each in subsets], picks),
            metadatas=GatheredStrings([each.row_group.metadatas for each in subsets], picks),
        ),
    )
    own_ids = GatheredStrings([each.row_group.ids for each in subsets], picks)
    hashes, hash_rows = id_index.build_from_utf8(own_ids.iter_rows(piece), rows)
    columns = concat([(each.row_group.columns, each.rows) for each in subsets], order)
    columns_meta, pools = serde.to_buffers(columns)
    meta, arrays = _string_arrays(subsets, piece, ids=own_ids)
    arrays = {
        **arrays,
        "row_seqs": np.concatenate([each.row_group.row_seqs[each.rows] for each in subsets])[order],
        "norms": norms,
        "hashes": hashes,
        "hash_rows": hash_rows,
        **{
            f"column{number}": ArrayStream(dtype.str, (sum(map(len, pool)),), pool)
            for number, (pool, dtype) in enumerate(zip(pools, serde.DTYPES, strict=True))
        },
    }
    write(ROWS, {**meta, "columns": columns_meta}, arrays)
    inverted = postings.serialize(columns)
    if inverted is not None:
        write(POSTINGS, *inverted)
    return SegmentInfo(name, rows, dimension, files)


def write_deletions(stores: Stores, prefix: str, segment: SegmentInfo, dead: NDArray[np.bool_]) -> FileRef:
    """Write the tombstones of a segment: its dead rows, ascending."""
    nonce = stores.system.nonce()
    scratch = stores.objects.temporary_path(f"{nonce}-{DELETED}")
    array_file.write(scratch, DELETED, {}, {DELETED: np.flatnonzero(dead).astype(np.uint32)})
    return array_file.upload(stores.objects, f"{prefix}{segment.id}/{DELETED}-{nonce}", scratch)


def _string_arrays(chosen: Sequence[RowSubset], piece: int, **texts: GatheredStrings) -> tuple[dict[str, Any], Arrays]:
    meta: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any] | ArrayStream] = {}
    for name, each in texts.items():
        meta[name] = each.header()
        arrays[f"{name}0"] = ArrayStream(
            "|u1", (int(each.offsets[-1]),), _release_after_each(each.chunks(piece), chosen)
        )
        arrays[f"{name}1"] = each.offsets
        if each.present is not None:
            arrays[f"{name}2"] = each.present.view(np.uint8)
    return meta, arrays


def _release_after_each(
    pieces: Iterator[NDArray[np.uint8]], chosen: Sequence[RowSubset]
) -> Iterator[NDArray[np.uint8]]:
    """Pieces of texts, after each of which what was read for it is out of memory."""
    for piece in pieces:
        yield piece
        for each in chosen:
            array_file.release_pages(each.row_group.documents.data)
            array_file.release_pages(each.row_group.ids.data)


def _vector_chunks(chosen: Sequence[RowSubset], picks: GatherPlan, norms: Vectors, most: int) -> Iterator[Vectors]:
    """The vectors of the rows, in pieces of about so many bytes, each (≤ n, d); fills in `norms` on the way."""
    dimension = chosen[0].row_group.vectors.shape[1]
    count = max(most // (4 * dimension), 1)
    for start in range(0, len(picks), count):
        stop = min(start + count, len(picks))
        piece = np.empty((stop - start, dimension), dtype=np.float32)
        for number, places, rows in picks.chunk(start, stop):
            piece[places] = chosen[number].row_group.vectors[rows]
            array_file.release_pages(chosen[number].row_group.vectors)
        norms[start:stop] = distance.squared_norms(piece)
        yield piece
