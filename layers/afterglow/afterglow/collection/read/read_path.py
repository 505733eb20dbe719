"""The read path: take a snapshot, pre-filter its rows, materialize the requested fields.

1. `work.check` refuses what would take too long.
2. `rows.selection_masks` turns the selection into one row mask per row group (pre-filtering).
3. get: order the rows by insertion and cut out the page. query: find the k nearest rows inside the masks, of all
   vectors together (`knn_planner`).
4. `rows.plan` locates the requested fields of these rows and refuses what would be too large; then they are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import schema
from afterglow.catalog.model import Collection
from afterglow.catalog.schema_defaults import EMBEDDING
from afterglow.collection.read import knn_planner, work
from afterglow.collection.read import rows as fetch
from afterglow.collection.read.explanation import Explanation, KnnSteps
from afterglow.collection.read.knn_planner import KnnQuery, Neighbors
from afterglow.collection.read.recall_sampling import RecallSampler
from afterglow.collection.read.rows import RecordPlan
from afterglow.collection.read.work import Work
from afterglow.collection.replica import ttl_filter
from afterglow.collection.replica.snapshot import Snapshot, WarmRows
from afterglow.collection.types import Include, QueryResult, Records, Selection
from afterglow.errors import WrongDimension
from afterglow.filters import ast
from afterglow.metering import phase
from afterglow.segment.distance import Space

_CHEAP_RESULTS = 100
_CHEAP_IDS = 100
_CHEAP_ROWS = 200_000
_CHEAP_CONDITIONS = 8
_CHEAP_COMPONENTS = 4_000_000
"""Components of vectors that a scan compares in about a millisecond."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What one read may take: estimated seconds of one core, and bytes of the records that it returns (0: no limit)."""

    seconds: float
    result_bytes: int


@dataclass(frozen=True, slots=True)
class Hits:
    """The nearest records of each of several queries, located but not read.

    The records of all queries follow one another in `records`; `counts` says how many belong to each. `distances` is
    float32, one for each record.
    """

    records: RecordPlan
    counts: list[int]
    distances: NDArray[np.float32]

    @property
    def byte_size(self) -> int:
        """The estimated size of the records."""
        return self.records.byte_size

    @property
    def position(self) -> int:
        """The number of the last log entry in the snapshot."""
        return self.records.position

    def read(self) -> list[QueryResult]:
        """The records of each query."""
        with phase("fetch"):
            records = self.records.read()
        ends = list(accumulate(self.counts))
        return [
            QueryResult(records.slice(end - count, end), self.distances[end - count : end])
            for count, end in zip(self.counts, ends, strict=True)
        ]


def get(
    snapshot: Snapshot,
    selection: Selection,
    limit: int | None,
    offset: int,
    include: frozenset[Include],
    *,
    limits: ReadLimits,
) -> Records:
    """The selected records in insertion order, `limit` of them after `offset`.

    Raises LimitExceeded, ResponseTooLarge.
    """
    plan = locate(snapshot, selection, limit, offset, include, limits=limits)
    with phase("fetch"):
        return plan.read()


def locate(
    snapshot: Snapshot,
    selection: Selection,
    limit: int | None,
    offset: int,
    include: frozenset[Include],
    *,
    limits: ReadLimits,
    explanation: Explanation | None = None,
) -> RecordPlan:
    """The first half of `get`: the records are located, but not read. Fills the `explanation`.

    Raises LimitExceeded, ResponseTooLarge.
    """
    check_indexed(snapshot.collection, selection)
    work.check(snapshot, Work(filters_of(selection)), limits.seconds)
    with phase("filter"):
        masks = fetch.selection_masks(snapshot, selection)
        groups, rows = fetch.in_insertion_order(snapshot, masks, offset, limit)
    if explanation is not None:
        explanation.snapshot(snapshot)
        explanation.filter(snapshot, masks, filters_of(selection))
    with phase("fetch"):
        return fetch.plan(snapshot, groups, rows, include, limits.result_bytes)


def find(
    snapshot: Snapshot,
    queries: NDArray[np.float32],
    n_results: int,
    selection: Selection,
    include: frozenset[Include],
    *,
    limits: ReadLimits,
    exact_search_max_rows: int,
    explanation: Explanation | None = None,
    recall: RecallSampler | None = None,
    exact: bool = False,
) -> Hits:
    """The nearest selected records for each of the queries, float32 (m, d), with recall 1 if they are to be `exact`.

    The first may become a sample of `recall`.

    Raises WrongDimension, LimitExceeded, ResponseTooLarge.
    """
    check_indexed(snapshot.collection, selection)
    dimension = snapshot.collection.dimension
    if dimension is not None and len(queries) and queries.shape[1] != dimension:
        raise WrongDimension(dimension, queries.shape[1])
    filters = filters_of(selection)
    work.check(snapshot, Work(filters, [n_results] * len(queries), exact=exact), limits.seconds)
    # Before the search: its own results take memory, too.
    most_hits = len(queries) * min(n_results, snapshot.records)
    fetch.check_size(most_hits * fetch.RECORD_BYTES, limits.result_bytes)
    with phase("filter"):
        fetch.read_roots(snapshot, filters, search=True)
        masks = fetch.selection_masks(snapshot, selection)
    steps = None if explanation is None else KnnSteps(EMBEDDING, n_results, len(queries))
    query = _query(snapshot, queries, n_results, exact_search_max_rows, selection, exact=exact)
    with phase("search"):
        neighbors = (
            []
            if query is None
            else knn_planner.knn_batch(snapshot, masks, query, queries, None if steps is None else steps.groups)
        )
    if recall is not None and query is not None:
        recall.offer(snapshot, masks, query, neighbors[0])
    if explanation is not None and steps is not None:
        explanation.snapshot(snapshot)
        explanation.knn(explanation.filter(snapshot, masks, filters), steps)
    counts = [len(nearest.rows) for nearest in neighbors]
    together = _concatenate(neighbors)
    del neighbors  # of many vectors they take as much memory as the records
    with phase("fetch"):
        records = fetch.plan(snapshot, together.groups, together.rows, include, limits.result_bytes)
        return Hits(records, counts, together.distances)


def _query(
    snapshot: Snapshot,
    queries: NDArray[np.float32],
    n_results: int,
    exact_search_max_rows: int,
    selection: Selection,
    *,
    exact: bool,
) -> KnnQuery | None:
    """The query of the first vector, None without one."""
    if not len(queries):
        return None
    space = Space(schema.index_parameters(snapshot.collection.schema).space)
    return KnnQuery(space, queries[0], n_results, exact_search_max_rows, exact, keys_of(filters_of(selection)))


def _concatenate(neighbors: Sequence[Neighbors]) -> Neighbors:
    if len(neighbors) == 1:
        return neighbors[0]
    if not neighbors:
        return Neighbors(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    return Neighbors(
        np.concatenate([nearest.groups for nearest in neighbors]),
        np.concatenate([nearest.rows for nearest in neighbors]),
        np.concatenate([nearest.distances for nearest in neighbors]),
    )


def is_cheap(warm: WarmRows, queries: int, n_results: int, selection: Selection) -> bool:
    """Whether a query takes about a millisecond: one vector, few results and conditions, no scan of documents."""
    if queries > 1 or n_results > _CHEAP_RESULTS or warm.unindexed_components > _CHEAP_COMPONENTS:
        return False
    return _is_cheap_selection(warm, selection)


def is_cheap_get(warm: WarmRows, limit: int | None, selection: Selection) -> bool:
    """Whether records are located in about a millisecond: few ids, or one page of few rows."""
    if selection.ids is None and (limit is None or limit > _CHEAP_RESULTS or warm.rows > _CHEAP_ROWS):
        return False
    return _is_cheap_selection(warm, selection)


def _is_cheap_selection(warm: WarmRows, selection: Selection) -> bool:
    if len(selection.ids or ()) > _CHEAP_IDS:
        return False
    conditions = [leaf for condition in filters_of(selection) for leaf in ast.leaves(condition)]
    if len(conditions) > _CHEAP_CONDITIONS or any(map(ast.is_costly, conditions)):
        return False
    return not conditions or warm.rows <= _CHEAP_ROWS


def count(snapshot: Snapshot) -> int:
    """The number of live records."""
    if snapshot.expiry is None:
        return snapshot.records
    excluded = [ttl_filter.excluded_rows(group, snapshot.expiry) for group in snapshot.row_groups]
    rows = sum(group.rows.rows for group in snapshot.row_groups)
    return rows - sum(int(np.count_nonzero(mask)) for mask in excluded if mask is not None)


def matching_ids(snapshot: Snapshot, selection: Selection, limit: int | None, max_seconds: float) -> list[str]:
    """The ids of the selected records in insertion order, at most `limit` of them. Raises LimitExceeded."""
    limits = ReadLimits(max_seconds, result_bytes=0)
    return get(snapshot, selection, limit, 0, frozenset(), limits=limits).ids


def filters_of(selection: Selection) -> Sequence[ast.Filter]:
    """The filters of a selection."""
    return [condition for condition in (selection.where, selection.where_document) if condition is not None]


def keys_of(filters: Sequence[ast.Filter]) -> tuple[str, ...]:
    """The metadata keys that filters name, without repetition."""
    return tuple(dict.fromkeys(key for condition in filters for key, _ in ast.operands(condition)))


def check_indexed(collection: Collection, selection: Selection) -> None:
    """Raises InvalidArgument if a filter needs an index that the schema disables."""
    filters = filters_of(selection)
    if filters:
        operands = [(key, str(kind)) for condition in filters for key, kind in ast.operands(condition)]
        schema.check_indexed(collection.schema, operands, any(map(ast.reads_documents, filters)))
