"""The planner: k nearest neighbours in the filtered rows of a snapshot.

Filters are applied first (pre-filtering): the planner gets one row mask per row group. Per row group it chooses:

* **brute force** (`segment.exact_knn`) where there is no index, or where the filter leaves few rows: recall 1.
* **a covering index** (`covering_planner`) for clustered segments under a selective filter of a key that has one.
* **lists** (`lists_planner`) for the other clustered segments, all of them together.
* **HNSW with overfetch** otherwise: search with a larger ef than k, drop candidates outside the mask, and compute the
  exact distances of the rest (exact rescoring). If fewer than k candidates remain, ef is doubled; at the largest ef
  brute force takes over. So a search returns k rows whenever the filter leaves k rows.

How much of an index is searched was measured when it was built (`segment.breadth`). The index may rank by rounded
vectors; every returned distance is exact.

Several vectors of one request are searched together (`knn_batch`): a scan reads the vectors once for all of them, a
graph is called once for many. Each gets what it would get alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.read.covering_planner import CoveredGroup, covered, knn_covered
from afterglow.collection.read.explanation import GroupStep, Method
from afterglow.collection.read.lists_planner import knn_in_lists
from afterglow.collection.read.rescoring import ClusteredGroup, Nearest
from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.segment import exact_knn
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.exact_knn import Rows
from afterglow.segment.hnsw import MAX_EF, HnswIndex, rescored
from afterglow.segment.reader import Mask
from afterglow.segment.row_group import RowGroup
from afterglow.segment.scan_codes import ScanBound

_OVERFETCH = 2
_MIN_FILTERED_EF = 320
"""The least ef under a selective filter: the matching rows may form a cluster away from the query."""
_MAX_EF = MAX_EF
_OUTSIDE_BREADTH = 8
"""How much wider a graph is searched for a vector that its rounding represents badly (`segment.codes`)."""
_ALMOST_ALL = 0.9
"""From this share of matching rows on, a filter does not count as selective."""
_REFERENCE_DIMENSION = 384
_BATCH = 64
"""Vectors that search a graph in one call."""
_Found = tuple[Rows, Vectors]


@dataclass(frozen=True, slots=True)
class KnnQuery:
    """The k rows nearest to `vector`, float32 (d,).

    A filter that leaves at most `exact_search_max_rows` rows (of 384 dimensions) is searched by brute force; all rows
    are, if the search is to be `exact`. `filter_keys` are the metadata keys of the filter.
    """

    space: Space
    vector: Vectors
    k: int
    exact_search_max_rows: int
    exact: bool = False
    filter_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Neighbors:
    """Row group index and row of the nearest rows, int64 (n,) each, nearest first; their distances, float32 (n,)."""

    groups: NDArray[np.int64]
    rows: Rows
    distances: Vectors


def knn(
    snapshot: Snapshot, masks: list[Mask | None], query: KnnQuery, steps: list[GroupStep] | None = None
) -> Neighbors:
    """The k nearest rows inside the masks (one per row group, None: all rows). Ties go by insertion order.

    What was done for each row group is added to `steps`.
    """
    (neighbors,) = knn_batch(snapshot, masks, query, query.vector[np.newaxis], steps)
    return neighbors


def knn_batch(
    snapshot: Snapshot,
    masks: list[Mask | None],
    query: KnnQuery,
    vectors: Vectors,
    steps: list[GroupStep] | None = None,
) -> list[Neighbors]:
    """`knn` for each of several vectors (m, d) instead of the query's own; they share every scan and every call."""
    if query.exact:
        return [knn_exact(snapshot, masks, replace(query, vector=vector)) for vector in vectors]
    results: list[dict[int, Nearest]] = [{} for _ in vectors]
    clustered: dict[int, ClusteredGroup] = {}
    covering: dict[int, CoveredGroup] = {}
    bound = ScanBound(query.k) if len(vectors) == 1 else None
    for number, (group, mask) in enumerate(zip(snapshot.row_groups, masks, strict=True)):
        step = None if steps is None else _step(group, mask, steps)
        if group.lists is not None:
            member = ClusteredGroup.of(group, group.lists, mask, step)
            found_covered = covered(member, query.filter_keys)
            if found_covered is None:
                clustered[number] = member
            else:
                covering[number] = found_covered
            continue
        found = _search(_plan(group, mask, query, step), query, vectors, bound)
        for result, (rows, distances) in zip(results, found, strict=True):
            result[number] = Nearest(rows, distances, group.rows.row_seqs[rows])
    if covering:
        by_codes = knn_covered(list(covering.values()), query.space, vectors, query.k)
        for result, nearest in zip(results, by_codes, strict=True):
            result |= dict(zip(covering, nearest, strict=True))
    for result, vector in zip(results, vectors, strict=True):
        if clustered:
            in_lists = knn_in_lists(list(clustered.values()), query.space, vector, query.k)
            result |= dict(zip(clustered, in_lists, strict=True))
    count = len(snapshot.row_groups)
    return [_merge([result[number] for number in range(count)], query.k) for result in results]


def uses_graph(k: int) -> bool:
    """Whether a graph may be searched for so many neighbours; for more all rows are scanned."""
    return k * _OVERFETCH <= _MAX_EF


def knn_exact(snapshot: Snapshot, masks: Sequence[Mask | None], query: KnnQuery) -> Neighbors:
    """`knn` by scans alone: recall 1."""
    results = []
    for group, mask in zip(snapshot.row_groups, masks, strict=True):
        subset = None if mask is None else np.flatnonzero(mask)
        k = min(query.k, group.rows.rows if subset is None else len(subset))
        rows, distances = exact_knn.knn_scan(group.rows, query.space, query.vector, subset, k)
        results.append(Nearest(rows, distances, group.rows.row_seqs[rows]))
    return _merge(results, query.k)


def _step(group: RowGroupView, mask: Mask | None, steps: list[GroupStep]) -> GroupStep:
    """A new step for a row group."""
    rows = group.rows.rows
    index = Method.GRAPH if group.graph is not None else None if group.lists is None else Method.LISTS
    step = GroupStep(rows, rows if mask is None else int(np.count_nonzero(mask)), index)
    steps.append(step)
    return step


def _merge(results: Sequence[Nearest], k: int) -> Neighbors:
    """The k nearest of the rows of all row groups."""
    if not results:
        return Neighbors(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    if len(results) == 1:
        nearest = results[0]
        return Neighbors(np.zeros(len(nearest.rows), np.int64), nearest.rows, nearest.distances)
    groups = np.repeat(np.arange(len(results)), [len(result.rows) for result in results])
    rows = np.concatenate([result.rows for result in results])
    distances = np.concatenate([result.distances for result in results])
    order = np.lexsort((np.concatenate([result.row_seqs for result in results]), distances))[:k]
    return Neighbors(groups[order], rows[order], distances[order])


@dataclass(frozen=True, slots=True)
class _GroupPlan:
    """How to search one row group: by its graph, or by brute force (None) over the rows inside the mask.

    `selectivity` is the share of its rows inside the mask, `step` records what is done, if it is recorded.
    """

    rows: RowGroup
    mask: Mask | None
    graph: HnswIndex | None
    k: int
    selectivity: float
    step: GroupStep | None = None


def _plan(group: RowGroupView, mask: Mask | None, query: KnnQuery, step: GroupStep | None) -> _GroupPlan:
    rows = group.rows.rows
    matching = rows if mask is None else int(np.count_nonzero(mask))
    k = min(query.k, matching)
    brute_force_rows = query.exact_search_max_rows * _REFERENCE_DIMENSION // len(query.vector)
    is_almost_all = matching >= _ALMOST_ALL * rows
    is_index_cheaper = uses_graph(k) and (is_almost_all or matching > brute_force_rows)
    return _GroupPlan(group.rows, mask, group.graph if is_index_cheaper else None, k, matching / rows, step)


def _search(plan: _GroupPlan, query: KnnQuery, vectors: Vectors, bound: ScanBound | None) -> list[_Found]:
    """The k nearest rows of a group for each of the vectors; of one vector without those that the `bound` excludes."""
    if plan.graph is None:
        return _scan(plan, query, vectors, bound)
    results: list[_Found] = []
    for first in range(0, len(vectors), _BATCH):
        several = vectors[first : first + _BATCH]
        for vector, candidates in zip(several, _candidates(plan, plan.graph, several), strict=True):
            if candidates is None:
                results += _scan(plan, query, vector[np.newaxis])
            else:
                results.append(exact_knn.rerank(plan.rows, query.space, vector, candidates, plan.k))
    return results


def _scan(plan: _GroupPlan, query: KnnQuery, vectors: Vectors, bound: ScanBound | None = None) -> list[_Found]:
    subset = None if plan.mask is None else np.flatnonzero(plan.mask)
    if plan.step is not None:
        plan.step.compared += len(vectors) * plan.step.matching
        if plan.step.method is Method.NONE and plan.step.matching:
            plan.step.method = Method.SCAN
    if len(vectors) == 1:
        return [exact_knn.knn_scan(plan.rows, query.space, vectors[0], subset, plan.k, bound=bound)]
    return exact_knn.knn_scan_batch(plan.rows, query.space, vectors, subset, plan.k)


def _candidates(plan: _GroupPlan, graph: HnswIndex, vectors: Vectors) -> list[Rows | None]:
    """For each vector at least k candidates inside the mask from the graph, or None where brute force is cheaper."""
    ef = math.ceil(max(_OVERFETCH * plan.k, graph.ef(plan.k)) / plan.selectivity)
    if plan.selectivity < _ALMOST_ALL:
        ef = max(ef, _MIN_FILTERED_EF)
    queries, most = graph.comparable(vectors), rescored(plan.k)
    outside = graph.are_outside(queries)
    if outside is None:
        return _graph_candidates(plan, graph, queries, ef, most)
    results: list[Rows | None] = [None] * len(queries)
    for are_those, breadth, count in ((~outside, ef, most), (outside, _OUTSIDE_BREADTH * ef, None)):
        numbers = np.flatnonzero(are_those)
        candidates = _graph_candidates(plan, graph, queries[numbers], breadth, count)
        for number, found in zip(numbers, candidates, strict=True):
            results[number] = found
    return results


def _graph_candidates(
    plan: _GroupPlan, graph: HnswIndex, vectors: Vectors, ef: int, most: int | None
) -> list[Rows | None]:
    """The nearest rows inside the mask by the graph, at most `most`; None where it finds fewer than k."""
    results: list[Rows | None] = [None] * len(vectors)
    missing = list(range(len(vectors)))
    while missing:
        ef = min(ef, _MAX_EF)
        several = vectors if len(missing) == len(vectors) else vectors[missing]
        for number, nearest in zip(missing, graph.search_batch(several, ef), strict=True):
            candidates = nearest if plan.mask is None else nearest[plan.mask[nearest]]
            if len(candidates) >= plan.k:
                candidates = candidates[:most]
                results[number] = candidates
                if plan.step is not None:
                    _record_graph(plan.step, graph, ef, len(candidates))
        if ef == _MAX_EF:
            break
        missing = [number for number in missing if results[number] is None]
        ef *= 2
    return results


def _record_graph(step: GroupStep, graph: HnswIndex, ef: int, candidates: int) -> None:
    step.method, step.recall = Method.GRAPH, graph.recall_target
    step.breadth = max(step.breadth or 0, ef)
    step.compared += candidates
