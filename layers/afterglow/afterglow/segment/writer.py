"""Writing a segment from rows of other parts: of a replica's tail (fold), or of other segments (compaction).

1. Write `vectors`, `rows` and `texts`, `postings` where there are sparse vectors, and `graph` where the segment is to
   have one, to scratch files.
2. Upload each under the new segment's own prefix. *Crash anywhere: orphans that no manifest names, collected later.*
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns import merging, stored
from afterglow.columns.texts import Texts
from afterglow.segment import framing, graph, ids, postings, spaces
from afterglow.segment.framing import FileInfo, Streamed
from afterglow.segment.graph import GraphParameters
from afterglow.segment.manifest import SegmentInfo
from afterglow.segment.part import Chosen
from afterglow.segment.spaces import Vectors
from afterglow.storage.stores import Stores

_CHUNK = 4096

ROWS, TEXTS, VECTORS, POSTINGS, GRAPH, DEAD = "rows", "texts", "vectors", "postings", "graph", "dead"


@dataclass(frozen=True, slots=True)
class GraphPlan:
    """How the new segment gets its graph: with `threads`, on top of the graph file `base` of the first rows, if any."""

    parameters: GraphParameters
    threads: int
    base: Path | None = None


def write_segment(
    stores: Stores,
    prefix: str,
    chosen: Sequence[Chosen],
    order: NDArray[np.int64],
    plan: GraphPlan | None,
) -> SegmentInfo:
    """Write the concatenation of `chosen`, permuted by `order`, as a new segment; its rows are numbered in that order.

    Where the graph plan has a base, its rows must come first in `order`, as they are there.
    """
    objects = stores.objects
    name = stores.ambient.nonce()
    rows, dimension = len(order), chosen[0].part.vectors.shape[1]
    files: dict[str, FileInfo] = {}

    def store(role: str, path: Path) -> None:
        files[role] = framing.store(objects, f"{prefix}{name}/{role}", path)

    vectors = objects.scratch(f"{name}-{VECTORS}")
    norms = np.empty(rows, dtype=np.float32)
    pieces = _vectors(chosen, order, norms)
    framing.write(vectors, VECTORS, {}, {VECTORS: Streamed("<f4", (rows, dimension), pieces)})
    for each in chosen:
        framing.drop_pages(each.part.vectors)
    if plan is not None:
        scratch = objects.scratch(f"{name}-{GRAPH}")
        graph.build(scratch, plan.parameters, framing.peek(vectors, VECTORS)[VECTORS], plan.threads, plan.base)
        store(GRAPH, scratch)
    store(VECTORS, vectors)

    parts = [(each.part, each.rows) for each in chosen]
    scratch = objects.scratch(f"{name}-{TEXTS}")
    framing.write(
        scratch,
        TEXTS,
        *_packed(
            documents=_texts([(part.documents, some) for part, some in parts], order),
            uris=_texts([(part.uris, some) for part, some in parts], order),
            metadatas=_texts([(part.metadatas, some) for part, some in parts], order),
        ),
    )
    store(TEXTS, scratch)
    for each in chosen:
        framing.drop_pages(each.part.documents.blob)

    own_ids = _texts([(part.ids, some) for part, some in parts], order)
    hashes, hash_rows = ids.index(own_ids)
    columns = merging.take(merging.gather([(part.columns, some) for part, some in parts]), order)
    columns_meta, columns_arrays = stored.to_arrays(columns)
    meta, arrays = _packed(ids=own_ids)
    arrays |= {
        "ordinals": np.concatenate([part.ordinals[some] for part, some in parts])[order],
        "norms": norms,
        "hashes": hashes,
        "hash_rows": hash_rows,
        **{f"column{number}": array for number, array in enumerate(columns_arrays)},
    }
    scratch = objects.scratch(f"{name}-{ROWS}")
    framing.write(scratch, ROWS, {**meta, "columns": columns_meta}, arrays)
    store(ROWS, scratch)
    inverted = postings.pack(columns)
    if inverted is not None:
        scratch = objects.scratch(f"{name}-{POSTINGS}")
        framing.write(scratch, POSTINGS, *inverted)
        store(POSTINGS, scratch)
    return SegmentInfo(name, rows, dimension, files)


def write_dead(stores: Stores, prefix: str, segment: SegmentInfo, dead: NDArray[np.bool_]) -> FileInfo:
    """Write the tombstones of a segment: its dead rows, ascending."""
    nonce = stores.ambient.nonce()
    scratch = stores.objects.scratch(f"{nonce}-{DEAD}")
    framing.write(scratch, DEAD, {}, {DEAD: np.flatnonzero(dead).astype(np.uint32)})
    return framing.store(stores.objects, f"{prefix}{segment.id}/{DEAD}-{nonce}", scratch)


def _texts(parts: Sequence[tuple[Texts, NDArray[np.int64]]], order: NDArray[np.int64]) -> Texts:
    together = Texts.gather(parts)
    is_in_order = bool((order[1:] > order[:-1]).all())
    return together if is_in_order else Texts.gather([(together, order)])


def _packed(**blobs: Texts) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    meta: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for name, blob in blobs.items():
        meta[name], own = blob.to_arrays()
        arrays |= {f"{name}{number}": array for number, array in enumerate(own)}
    return meta, arrays


def _vectors(chosen: Sequence[Chosen], order: NDArray[np.int64], norms: Vectors) -> Iterator[Vectors]:
    """The vectors of the rows in `order`, a chunk at a time, each (≤ chunk, d); fills in `norms` on the way."""
    starts = np.cumsum([0, *(len(each.rows) for each in chosen)])
    for start in range(0, len(order), _CHUNK):
        wanted = order[start : start + _CHUNK]
        piece = np.empty((len(wanted), chosen[0].part.vectors.shape[1]), dtype=np.float32)
        for each, (begin, end) in zip(chosen, pairwise(starts.tolist()), strict=True):
            here = np.flatnonzero((wanted >= begin) & (wanted < end))
            if len(here):
                piece[here] = each.part.vectors[each.rows[wanted[here] - begin]]
        norms[start : start + len(wanted)] = spaces.squares(piece)
        yield piece
