"""The read path: a view, the rows a selection means in it, and the fields that were asked for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import schema
from afterglow.catalog.model import Collection
from afterglow.collection.read import knn_planner
from afterglow.collection.read import rows as fetch
from afterglow.collection.read import rows as select
from afterglow.collection.read.knn_planner import KnnQuery
from afterglow.collection.replica import ttl_filter
from afterglow.collection.replica.replica import Snapshot
from afterglow.collection.replica.replica_state import NOT_FOUND
from afterglow.collection.types import Include, QueryResult, Records, Selection
from afterglow.errors import InternalError, WrongDimension
from afterglow.filters import ast
from afterglow.metering import phase
from afterglow.segment.distance import Space
from afterglow.segment.reader import Mask

_LIGHT_RESULTS = 100
_LIGHT_IDS = 100
_LIGHT_ROWS = 200_000


def get(view: Snapshot, selection: Selection, limit: int | None, offset: int, include: frozenset[Include]) -> Records:
    """The selected records in insertion order, `limit` of them after `offset`."""
    check_indexed(view.collection, selection)
    with phase("filter"):
        chosen = select.selection_masks(view, selection)
        parts, rows = select.in_insertion_order(view, chosen, offset, limit)
    with phase("fetch"):
        return fetch.materialize(view, parts, rows, include)


def query(
    view: Snapshot,
    queries: NDArray[np.float32],
    n_results: int,
    selection: Selection,
    include: frozenset[Include],
    *,
    exact_search_max_rows: int,
) -> list[QueryResult]:
    """For each of the queries (m, d) the nearest selected records. Raises WrongDimension."""
    check_indexed(view.collection, selection)
    dimension = view.collection.dimension
    if dimension is not None and len(queries) and queries.shape[1] != dimension:
        raise WrongDimension(dimension, queries.shape[1])
    with phase("filter"):
        chosen = select.selection_masks(view, selection)
    if dimension is not None:
        _require_ids(view, selection, chosen)
    space = Space(schema.index_parameters(view.collection.schema).space)
    answers = []
    for each in queries:
        with phase("search"):
            found = knn_planner.knn(view, chosen, KnnQuery(space, each, n_results, exact_search_max_rows))
        with phase("fetch"):
            answers.append(QueryResult(fetch.materialize(view, found.groups, found.rows, include), found.distances))
    return answers


def is_cheap(rows: int, queries: int, n_results: int, selection: Selection) -> bool:
    """Whether a query over so many rows costs about a millisecond: few answers, and no document is searched."""
    filters = _filters(selection)
    is_small = queries * n_results <= _LIGHT_RESULTS and len(selection.ids or ()) <= _LIGHT_IDS
    return is_small and (not filters or rows <= _LIGHT_ROWS) and not any(map(ast.reads_documents, filters))


def count(view: Snapshot) -> int:
    """How many records there are."""
    if view.expiry is None:
        return view.records
    dead = [ttl_filter.excluded_rows(live, view.expiry) for live in view.row_groups]
    rows = sum(live.rows.rows for live in view.row_groups)
    return rows - sum(int(np.count_nonzero(each)) for each in dead if each is not None)


def matching_ids(view: Snapshot, selection: Selection, limit: int | None) -> list[str]:
    """The ids of the selected records in insertion order, the first `limit` of them."""
    return get(view, selection, limit, 0, frozenset()).ids


def _filters(selection: Selection) -> Sequence[ast.Filter]:
    return [each for each in (selection.where, selection.where_document) if each is not None]


def check_indexed(collection: Collection, selection: Selection) -> None:
    """Raises InvalidArgument where a filter needs an index that the schema switches off."""
    filters = _filters(selection)
    if filters:
        operands = [(key, str(kind)) for each in filters for key, kind in ast.operands(each)]
        schema.check_indexed(collection.schema, operands, any(ast.reads_documents(each) for each in filters))


def _require_ids(view: Snapshot, selection: Selection, chosen: Sequence[Mask | None]) -> None:
    """The contract's own quirk: querying among ids alone fails when one of them is not there."""
    is_by_ids_alone = selection.where is None and selection.where_document is None
    if is_by_ids_alone and view.locations is not None:
        places = zip(view.locations.groups.tolist(), view.locations.rows.tolist(), strict=True)
        if not all(part != NOT_FOUND and ((mask := chosen[part]) is None or mask[row]) for part, row in places):
            raise InternalError("Error executing plan: Internal error: Error finding id")
