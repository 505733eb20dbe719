"""The search API: filter, rank, group, page, fetch; vectorized over columns and score arrays.

1. The filter becomes one row mask per row group (pre-filtering).
2. Each $knn finds its nearest rows inside the masks: dense ones by `knn_planner`, sparse ones by `sparse_knn`.
3. `ranking` evaluates the rank expression over their scores, with those of a cross-encoder where it has a $rerank
   (`reranking`). Records are sorted by score, ascending, with NaN last; ties go by insertion order.
4. Grouping keeps the top k records of each group, in that order.
5. One page of the result is located; reading it is a step of its own (`RankedHits.read`).

Without a rank expression, records come in insertion order, and a record's score is its position.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import schema
from afterglow.catalog.schema_defaults import EMBEDDING
from afterglow.collection.read import knn_planner, ranked_rows, read_path, work
from afterglow.collection.read import rows as fetch
from afterglow.collection.read.explanation import Explanation, GroupStep, KnnSteps
from afterglow.collection.read.knn_planner import KnnQuery, Neighbors
from afterglow.collection.read.ranked_rows import RankedRows
from afterglow.collection.read.read_path import ReadLimits
from afterglow.collection.read.reranking import Reranking, Score
from afterglow.collection.read.rows import RecordPlan
from afterglow.collection.read.search_request import (
    DenseKnn,
    GroupBy,
    Search,
    SparseKnn,
    TextKnn,
    referenced_ids,
)
from afterglow.collection.read.sparse_knn import sparse_knn
from afterglow.collection.read.work import Work
from afterglow.collection.replica.snapshot import Snapshot, WarmRows
from afterglow.collection.types import Records, Selection
from afterglow.errors import WrongDimension
from afterglow.metering import phase
from afterglow.ranking import KnnHits, Rank, evaluate
from afterglow.ranking.ast import operators
from afterglow.ranking.sort_keys import sort_keys
from afterglow.ranking.top_k_per_group import top_k_per_group
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.reader import Mask

_CHEAP_OPERATORS = 64
_CHEAP_KNN = 2
_GROUP_STEPS = 5
"""Grouping by a key takes as long as this many operators."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The records of one search in order, and their scores, float32 (n,)."""

    records: Records
    scores: Vectors


@dataclass(frozen=True, slots=True)
class RankedHits:
    """The records of one search in order, located but not read, and their scores, float32 (n,)."""

    records: RecordPlan
    scores: Vectors

    @property
    def byte_size(self) -> int:
        """The estimated size of the records."""
        return self.records.byte_size

    def read(self) -> SearchResult:
        """The records."""
        with phase("fetch"):
            return SearchResult(self.records.read(), self.scores)


def execute(
    snapshot: Snapshot,
    searches: Sequence[Search],
    ids: Sequence[str],
    limits: ReadLimits,
    *,
    exact_search_max_rows: int,
    score: Score,
    explanation: Explanation | None = None,
    exact: bool = False,
) -> list[RankedHits]:
    """The hits of the searches, in a snapshot that was taken with their `referenced_ids`; `score` is the reranker's.

    With `exact`, dense $knn have recall 1.

    Raises InvalidArgument, WrongDimension, LimitExceeded, ResponseTooLarge, and what `score` raises.
    """
    for search in searches:
        _check(snapshot, search)
    work.check(snapshot, replace(_work(snapshot, searches), exact=exact), limits.seconds)
    if explanation is not None:
        explanation.snapshot(snapshot)
    results, byte_size = [], 0
    for search in searches:
        reranking = Reranking(snapshot, search.reranks, score, limits.result_bytes)
        hits = _execute_one(search, ids, reranking, exact_search_max_rows, explanation=explanation, exact=exact)
        byte_size += hits.byte_size
        fetch.check_size(byte_size, limits.result_bytes)
        results.append(hits)
    return results


def is_cheap(warm: WarmRows, searches: Sequence[Search]) -> bool:
    """Whether searches take about a millisecond: a single one, for few dense neighbours, with a small expression."""
    if len(searches) != 1:
        return False
    (search,) = searches
    if search.rank is None or search.groups is not None or search.reranks:
        return False
    if not all(isinstance(knn, DenseKnn) for knn in search.knn):
        return False
    if operators(search.rank) > _CHEAP_OPERATORS or len(search.knn) > _CHEAP_KNN:
        return False
    neighbors = sum(knn.limit for knn in search.knn)
    return read_path.is_cheap(warm, 1, neighbors, Selection(referenced_ids(searches), search.filter))


def _work(snapshot: Snapshot, searches: Sequence[Search]) -> Work:
    """The work of all searches: their filters and dense $knn, and the seconds of everything else."""
    rows = sum(group.rows.rows for group in snapshot.row_groups)
    dense = [knn.limit for search in searches for knn in search.knn if isinstance(knn, DenseKnn)]
    seconds = 0.0
    for search in searches:
        sparse = [knn for knn in search.knn if isinstance(knn, SparseKnn)]
        seconds += work.TERM_SECONDS * sum(len(knn.query.indices) for knn in sparse) * len(snapshot.row_groups)
        seconds += work.HIT_SECONDS * sum(min(knn.limit, rows) for knn in sparse)
        hits = min(sum(knn.limit for knn in search.knn), rows)
        steps = 0 if search.rank is None else operators(search.rank)
        if search.groups is not None:
            keys = len(search.groups.keys) + len(search.groups.by)
            steps += _GROUP_STEPS * keys
            seconds += work.CONDITION_SECONDS * keys
        seconds += work.HIT_SECONDS * hits * steps
    return Work([search.filter for search in searches if search.filter is not None], dense, seconds)


def _check(snapshot: Snapshot, search: Search) -> None:
    read_path.check_indexed(snapshot.collection, Selection(where=search.filter))
    dimension = snapshot.collection.dimension
    for knn in search.knn:
        if isinstance(knn, SparseKnn):
            schema.sparse_index(snapshot.collection.schema, knn.key)
            continue
        assert isinstance(knn, DenseKnn), "the engine has replaced texts"
        if dimension is not None and len(knn.query) != dimension:
            raise WrongDimension(dimension, len(knn.query))


def _execute_one(
    search: Search,
    ids: Sequence[str],
    reranking: Reranking,
    exact_search_max_rows: int,
    *,
    explanation: Explanation | None,
    exact: bool,
) -> RankedHits:
    snapshot, max_bytes = reranking.snapshot, reranking.max_bytes
    with phase("filter"):
        fetch.read_roots(
            snapshot,
            [] if search.filter is None else [search.filter],
            search=any(isinstance(knn, DenseKnn) for knn in search.knn),
            sparse=any(isinstance(knn, SparseKnn) for knn in search.knn),
        )
        masks = fetch.selection_masks(snapshot, Selection(where=search.filter), ids)
    steps = None if explanation is None else [_steps(knn) for knn in search.knn]
    knn_groups = [None] * len(search.knn) if steps is None else [step.groups for step in steps]
    end = None if search.limit is None else search.offset + search.limit
    if search.rank is None:
        with phase("filter"):
            groups, rows = fetch.in_insertion_order(snapshot, masks, search.offset, search.limit)
        page = RankedRows(groups, rows, np.arange(search.offset, search.offset + len(groups), dtype=np.float32))
    else:
        keys = () if search.filter is None else read_path.keys_of([search.filter])
        with phase("search"):
            neighbors = [
                _nearest(snapshot, masks, knn, exact_search_max_rows, groups, keys=keys, exact=exact)
                for knn, groups in zip(search.knn, knn_groups, strict=True)
            ]
        with phase("rank"):
            ranked = _rank(reranking, search.rank, neighbors)
            if search.groups is not None:
                ranked = _group(snapshot, search.groups, ranked)
            page = ranked.take(slice(search.offset, end))
    if explanation is not None:
        filter_step = explanation.filter(snapshot, masks, [] if search.filter is None else [search.filter])
        for knn_steps in steps or ():
            explanation.knn(filter_step, knn_steps)
        explanation.rerank(filter_step, reranking.steps)
    with phase("fetch"):
        return RankedHits(fetch.plan(snapshot, page.groups, page.rows, search.include, max_bytes), page.scores)


def _steps(knn: DenseKnn | SparseKnn | TextKnn) -> KnnSteps:
    return KnnSteps(EMBEDDING if isinstance(knn, DenseKnn) else knn.key, knn.limit, 1)


def _nearest(
    snapshot: Snapshot,
    masks: list[Mask | None],
    knn: DenseKnn | SparseKnn | TextKnn,
    exact_search_max_rows: int,
    steps: list[GroupStep] | None,
    *,
    keys: tuple[str, ...],
    exact: bool,
) -> Neighbors:
    if isinstance(knn, SparseKnn):
        return sparse_knn(snapshot, masks, knn.key, knn.query, knn.limit, steps=steps)
    assert isinstance(knn, DenseKnn), "the engine has replaced texts"
    space = Space(schema.index_parameters(snapshot.collection.schema).space)
    query = KnnQuery(space, knn.query, knn.limit, exact_search_max_rows, exact, keys)
    return knn_planner.knn(snapshot, masks, query, steps)


def _rank(reranking: Reranking, rank: Rank, neighbors: Sequence[Neighbors]) -> RankedRows:
    """Every record that the expression scores, in order."""
    bases = ranked_rows.bases(reranking.snapshot)
    hits = [KnnHits(bases[nearest.groups] + nearest.rows, nearest.distances) for nearest in neighbors]
    return ranked_rows.in_order(reranking.snapshot, evaluate(rank, hits, reranking.rescore))


def _group(snapshot: Snapshot, group_by: GroupBy, ranked: RankedRows) -> RankedRows:
    if not len(ranked.groups):
        return ranked
    columns = [group.rows.columns for group in snapshot.row_groups]

    def order_by(key: str | None) -> NDArray[np.int64]:
        if key is None:
            return np.unique(ranked.scores, return_inverse=True)[1]
        return sort_keys(columns, ranked.groups, ranked.rows, key).order

    identities = [sort_keys(columns, ranked.groups, ranked.rows, key).identity for key in group_by.keys]
    top = top_k_per_group(identities, [order_by(key) for key in group_by.by], group_by.k, largest=group_by.largest)
    return ranked.take(top)
