"""The read path: take a snapshot, pre-filter its rows, materialize the requested fields.

1. `rows.selection_masks` turns the selection into one row mask per row group (pre-filtering).
2. get: order the rows by insertion and cut out the page. query: find the k nearest rows inside the masks
   (`knn_planner`).
3. `rows.materialize` fetches the requested fields of these rows.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import schema
from afterglow.catalog.model import Collection
from afterglow.collection.read import knn_planner
from afterglow.collection.read import rows as fetch
from afterglow.collection.read.knn_planner import KnnQuery
from afterglow.collection.replica import ttl_filter
from afterglow.collection.replica.replica import Snapshot
from afterglow.collection.types import Include, QueryResult, Records, Selection
from afterglow.errors import WrongDimension
from afterglow.filters import ast
from afterglow.metering import phase
from afterglow.segment.distance import Space

_CHEAP_RESULTS = 100
_CHEAP_IDS = 100
_CHEAP_ROWS = 200_000


def get(
    snapshot: Snapshot, selection: Selection, limit: int | None, offset: int, include: frozenset[Include]
) -> Records:
    """The selected records in insertion order, `limit` of them after `offset`."""
    check_indexed(snapshot.collection, selection)
    with phase("filter"):
        masks = fetch.selection_masks(snapshot, selection)
        groups, rows = fetch.in_insertion_order(snapshot, masks, offset, limit)
    with phase("fetch"):
        return fetch.materialize(snapshot, groups, rows, include)


def query(
    snapshot: Snapshot,
    queries: NDArray[np.float32],
    n_results: int,
    selection: Selection,
    include: frozenset[Include],
    *,
    exact_search_max_rows: int,
) -> list[QueryResult]:
    """The nearest selected records for each of the queries, float32 (m, d). Raises WrongDimension."""
    check_indexed(snapshot.collection, selection)
    dimension = snapshot.collection.dimension
    if dimension is not None and len(queries) and queries.shape[1] != dimension:
        raise WrongDimension(dimension, queries.shape[1])
    with phase("filter"):
        masks = fetch.selection_masks(snapshot, selection)
    space = Space(schema.index_parameters(snapshot.collection.schema).space)
    results = []
    for vector in queries:
        with phase("search"):
            nearest = knn_planner.knn(snapshot, masks, KnnQuery(space, vector, n_results, exact_search_max_rows))
        with phase("fetch"):
            records = fetch.materialize(snapshot, nearest.groups, nearest.rows, include)
            results.append(QueryResult(records, nearest.distances))
    return results


def is_cheap(rows: int, queries: int, n_results: int, selection: Selection) -> bool:
    """Whether a query over `rows` rows takes about a millisecond: few results, and no scan of documents."""
    filters = _filters(selection)
    is_small = queries * n_results <= _CHEAP_RESULTS and len(selection.ids or ()) <= _CHEAP_IDS
    return is_small and (not filters or rows <= _CHEAP_ROWS) and not any(map(ast.reads_documents, filters))


def count(snapshot: Snapshot) -> int:
    """The number of live records."""
    if snapshot.expiry is None:
        return snapshot.records
    excluded = [ttl_filter.excluded_rows(group, snapshot.expiry) for group in snapshot.row_groups]
    rows = sum(group.rows.rows for group in snapshot.row_groups)
    return rows - sum(int(np.count_nonzero(mask)) for mask in excluded if mask is not None)


def matching_ids(snapshot: Snapshot, selection: Selection, limit: int | None) -> list[str]:
    """The ids of the selected records in insertion order, at most `limit` of them."""
    return get(snapshot, selection, limit, 0, frozenset()).ids


def _filters(selection: Selection) -> Sequence[ast.Filter]:
    return [condition for condition in (selection.where, selection.where_document) if condition is not None]


def check_indexed(collection: Collection, selection: Selection) -> None:
    """Raises InvalidArgument if a filter needs an index that the schema disables."""
    filters = _filters(selection)
    if filters:
        operands = [(key, str(kind)) for condition in filters for key, kind in ast.operands(condition)]
        schema.check_indexed(collection.schema, operands, any(map(ast.reads_documents, filters)))
