"""The planner: k nearest neighbours in the filtered rows of a snapshot.

Filters are applied first (pre-filtering): the planner gets one row mask per row group. Per row group it chooses:

* **brute force** (`segment.exact_knn`) where there is no index, or where the filter leaves few rows: recall 1.
* **lists** (`lists_planner`) for clustered segments, all of them together.
* **HNSW with overfetch** otherwise: search with a larger ef than k, drop candidates outside the mask, and compute the
  exact distances of the rest (exact rescoring). If fewer than k candidates remain, ef is doubled; at the largest ef
  brute force takes over. So a search returns k rows whenever the filter leaves k rows.

How much of an index is searched was measured when it was built (`segment.breadth`). The index may rank by rounded
vectors; every returned distance is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.read.lists_planner import ClusteredGroup, Nearest, knn_in_lists
from afterglow.collection.replica.replica import Snapshot
from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.segment import exact_knn
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.exact_knn import Rows
from afterglow.segment.hnsw import MAX_EF, HnswIndex
from afterglow.segment.reader import Mask

_OVERFETCH = 2
_MIN_FILTERED_EF = 320
"""The least ef under a selective filter: the matching rows may form a cluster away from the query."""
_MAX_EF = MAX_EF
_ALMOST_ALL = 0.9
"""From this share of matching rows on, a filter does not count as selective."""
_REFERENCE_DIMENSION = 384


@dataclass(frozen=True, slots=True)
class KnnQuery:
    """The k rows nearest to `vector`, float32 (d,).

    A filter that leaves at most `exact_search_max_rows` rows (of 384 dimensions) is searched by brute force.
    """

    space: Space
    vector: Vectors
    k: int
    exact_search_max_rows: int


@dataclass(frozen=True, slots=True)
class Neighbors:
    """Row group index and row of the nearest rows, int64 (n,) each, nearest first; their distances, float32 (n,)."""

    groups: NDArray[np.int64]
    rows: Rows
    distances: Vectors


def knn(snapshot: Snapshot, masks: list[Mask | None], query: KnnQuery) -> Neighbors:
    """The k nearest rows inside the masks (one per row group, None: all rows). Ties go by insertion order."""
    results = _knn_in_groups(snapshot.row_groups, masks, query)
    if not results:
        return Neighbors(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    groups = np.repeat(np.arange(len(results)), [len(result.rows) for result in results])
    rows = np.concatenate([result.rows for result in results])
    distances = np.concatenate([result.distances for result in results])
    if len(results) == 1:
        return Neighbors(groups, rows, distances)
    order = np.lexsort((np.concatenate([result.row_seqs for result in results]), distances))[: query.k]
    return Neighbors(groups[order], rows[order], distances[order])


def _knn_in_groups(groups: Sequence[RowGroupView], masks: Sequence[Mask | None], query: KnnQuery) -> list[Nearest]:
    results: dict[int, Nearest] = {}
    clustered: dict[int, ClusteredGroup] = {}
    for number, (group, mask) in enumerate(zip(groups, masks, strict=True)):
        if group.lists is not None:
            clustered[number] = ClusteredGroup.of(group, group.lists, mask)
        else:
            rows, distances = _knn_in_group(group, mask, query)
            results[number] = Nearest(rows, distances, group.rows.row_seqs[rows])
    if clustered:
        found = knn_in_lists(list(clustered.values()), query.space, query.vector, query.k)
        results |= dict(zip(clustered, found, strict=True))
    return [results[number] for number in range(len(groups))]


def _knn_in_group(group: RowGroupView, mask: Mask | None, query: KnnQuery) -> tuple[Rows, Vectors]:
    row_group = group.rows
    matching = row_group.rows if mask is None else int(np.count_nonzero(mask))
    k = min(query.k, matching)
    brute_force_rows = query.exact_search_max_rows * _REFERENCE_DIMENSION // len(query.vector)
    is_almost_all = matching >= _ALMOST_ALL * row_group.rows
    is_index_cheaper = k * _OVERFETCH <= _MAX_EF and (is_almost_all or matching > brute_force_rows)
    if group.graph is not None and is_index_cheaper:
        candidates = _candidates(group.graph, mask, query.vector, k, matching / row_group.rows)
        if candidates is not None:
            return exact_knn.rerank(row_group, query.space, query.vector, candidates, k)
    subset = None if mask is None else np.flatnonzero(mask)
    return exact_knn.knn_scan(row_group, query.space, query.vector, subset, k)


def _candidates(graph: HnswIndex, mask: Mask | None, vector: Vectors, k: int, selectivity: float) -> Rows | None:
    """At least k candidates inside the mask from the HNSW index, or None where brute force is cheaper.

    `selectivity` is the share of the index's rows inside the mask.
    """
    ef = int(np.ceil(max(_OVERFETCH * k, graph.ef(k)) / selectivity))
    if selectivity < _ALMOST_ALL:
        ef = max(ef, _MIN_FILTERED_EF)
    while True:
        ef = min(ef, _MAX_EF)
        nearest = graph.search(vector, ef)
        candidates = nearest if mask is None else nearest[mask[nearest]]
        if len(candidates) >= k:
            return candidates
        if ef == _MAX_EF:
            return None
        ef *= 2
