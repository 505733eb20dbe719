"""The planner: the k nearest of the chosen rows of a view.

For each part, by what is left after the filter:

* no graph, or a filter that leaves few rows: score them all exactly (recall 1);
* otherwise ask the graph for more candidates than needed, drop those that are not chosen, score the rest exactly;
  when fewer than k are left, ask for twice as many, and in the end score all chosen rows. Never fewer than k when
  there are k.

The graph may rank by rounded vectors; every distance that leaves here is exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica.replica import Snapshot
from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.segment import exact_knn
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.exact_knn import Rows
from afterglow.segment.hnsw import HnswIndex
from afterglow.segment.reader import Mask

_OVERSAMPLE = 2
_MIN_CANDIDATES = 40
_CHEAP_OVERSAMPLE = 4
_CHEAP_CANDIDATES = 128
"""Up to here more candidates cost next to nothing: a graph looks at as many anyway."""
_MIN_FILTERED_CANDIDATES = 320
"""Candidates to ask for under a filter: what is chosen may lie together, away from the query."""
_MOST_CANDIDATES = 2_000
_ALMOST_ALL = 0.9
_REFERENCE_DIMENSION = 384


@dataclass(frozen=True, slots=True)
class KnnQuery:
    """The k nearest to `query`, float32 (d,). Up to `exact_search_max_rows` filtered rows (of 384 dimensions) are all scored."""

    space: Space
    vector: Vectors
    k: int
    exact_search_max_rows: int


@dataclass(frozen=True, slots=True)
class Neighbors:
    """Part index and row of the nearest rows, int64 (n,), nearest first, and their distances, float32 (n,)."""

    groups: NDArray[np.int64]
    rows: Rows
    distances: Vectors


def knn(view: Snapshot, chosen: list[Mask | None], asked: KnnQuery) -> Neighbors:
    """The k nearest chosen rows; ties go by insertion ordinal."""
    found = [_knn_in_group(live, mask, asked) for live, mask in zip(view.row_groups, chosen, strict=True)]
    if not found:
        return Neighbors(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    parts = np.repeat(np.arange(len(found)), [len(rows) for rows, _ in found])
    rows = np.concatenate([rows for rows, _ in found])
    distances = np.concatenate([some for _, some in found])
    if len(found) == 1:
        return Neighbors(parts, rows, distances)
    ordinals = np.concatenate(
        [live.rows.row_seqs[some] for live, (some, _) in zip(view.row_groups, found, strict=True)]
    )
    order = np.lexsort((ordinals, distances))[: asked.k]
    return Neighbors(parts[order], rows[order], distances[order])


def _knn_in_group(live: RowGroupView, mask: Mask | None, asked: KnnQuery) -> tuple[Rows, Vectors]:
    part = live.rows
    count = part.rows if mask is None else int(np.count_nonzero(mask))
    k = min(asked.k, count)
    affordable = asked.exact_search_max_rows * _REFERENCE_DIMENSION // part.vectors.shape[1]
    is_almost_all = count >= _ALMOST_ALL * part.rows
    is_worth_it = k * _OVERSAMPLE <= _MOST_CANDIDATES and (is_almost_all or count > affordable)
    if live.graph is not None and is_worth_it:
        rows = _candidates(live.graph, mask, asked.vector, k, count / part.rows)
        if rows is not None:
            return exact_knn.rerank(part, asked.space, asked.vector, rows, k)
    chosen = None if mask is None else np.flatnonzero(mask)
    return exact_knn.knn_scan(part, asked.space, asked.vector, chosen, k)


def _candidates(graph: HnswIndex, mask: Mask | None, query: Vectors, k: int, share: float) -> Rows | None:
    """At least k chosen rows near the query as the graph finds them, or None where scoring all is cheaper.

    `share` is how much of the graph's rows `mask` chooses.
    """
    cheap = min(_CHEAP_OVERSAMPLE * k, _CHEAP_CANDIDATES)
    count = int(max(_OVERSAMPLE * k, cheap, _MIN_CANDIDATES) / share)
    if share < _ALMOST_ALL:
        count = max(count, _MIN_FILTERED_CANDIDATES)
    while True:
        count = min(count, _MOST_CANDIDATES)
        found = graph.search(query, count)
        kept = found if mask is None else found[mask[found]]
        if len(kept) >= k:
            return kept
        if count == _MOST_CANDIDATES:
            return None
        count *= 2
