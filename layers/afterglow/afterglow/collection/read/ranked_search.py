"""Searches: filter, rank, group, page, fetch; all over columns and arrays of scores.

1. The filter becomes a mask of rows for each part.
2. Each $knn finds its nearest among them, dense ones by the planner (`search`), sparse ones by their index (`sparse`).
3. The expression makes scores of what they found (`ranking`). Records are sorted by score, ascending, what is no number
   (NaN) last, then by insertion ordinal.
4. The best of each group are kept, in that order.
5. One page of them is fetched.

Without an expression, the records come in insertion order, and their score is their place in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import schema
from afterglow.collection.read import knn_planner, read_path
from afterglow.collection.read import rows as fetch
from afterglow.collection.read import rows as select
from afterglow.collection.read.knn_planner import KnnQuery, Neighbors
from afterglow.collection.read.sparse_knn import SparseQuery, sparse_knn
from afterglow.collection.replica.replica import Snapshot
from afterglow.collection.types import Include, Records, Selection
from afterglow.errors import WrongDimension
from afterglow.filters import ast
from afterglow.metering import phase
from afterglow.ranking import KnnHits, Rank, evaluate
from afterglow.ranking.sort_keys import sort_keys
from afterglow.ranking.top_k_per_group import top_k_per_group
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.reader import Mask


@dataclass(frozen=True, slots=True)
class DenseKnn:
    """The `limit` records whose embeddings are nearest to a vector (d,)."""

    query: Vectors
    limit: int


@dataclass(frozen=True, slots=True)
class SparseKnn:
    """The `limit` records whose sparse vectors under `key` are nearest to a sparse vector."""

    key: str
    query: SparseQuery
    limit: int


@dataclass(frozen=True, slots=True)
class GroupBy:
    """Of the records that agree in the metadata `keys`, the k first by the keys of `by`, in which None is the score."""

    keys: tuple[str, ...]
    by: tuple[str | None, ...]
    k: int
    largest: bool


@dataclass(frozen=True, slots=True)
class Search:
    """One search; `nearest` are the $knn of `rank`, by number. Groups need a rank."""

    filter: ast.Filter | None = None
    rank: Rank | None = None
    knn: tuple[DenseKnn | SparseKnn, ...] = ()
    groups: GroupBy | None = None
    offset: int = 0
    limit: int | None = None
    include: frozenset[Include] = frozenset()


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The records of one search in order, and their scores, float32 (n,)."""

    records: Records
    scores: Vectors


@dataclass(frozen=True, slots=True)
class _RankedRows:
    """Records in order: part index and row, int64 (n,) each, and their scores, float32 (n,)."""

    groups: NDArray[np.int64]
    rows: NDArray[np.int64]
    scores: Vectors

    def at(self, places: NDArray[np.int64] | slice) -> "_RankedRows":
        return _RankedRows(self.groups[places], self.rows[places], self.scores[places])


def referenced_ids(searches: Sequence[Search]) -> list[str]:
    """The ids that the filters name, each once: the view must be asked with them."""
    named = (name for each in searches if each.filter is not None for name in ast.referenced_ids(each.filter))
    return list(dict.fromkeys(named))


def execute(view: Snapshot, searches: Sequence[Search], named: Sequence[str], *, exact_search_max_rows: int) -> list[SearchResult]:
    """What each search finds in a view that was asked with the ids `named`. Raises InvalidArgument, WrongDimension."""
    for each in searches:
        _check(view, each)
    return [_execute_one(view, each, named, exact_search_max_rows) for each in searches]


def is_cheap(rows: int, searches: Sequence[Search]) -> bool:
    """Whether searches over so many rows take about a millisecond: a single one, for few dense neighbours."""
    if len(searches) != 1:
        return False
    (asked,) = searches
    if asked.rank is None or asked.groups is not None or any(isinstance(each, SparseKnn) for each in asked.knn):
        return False
    wanted = sum(each.limit for each in asked.knn)
    return read_path.is_cheap(rows, 1, wanted, Selection(referenced_ids(searches), asked.filter))


def _check(view: Snapshot, asked: Search) -> None:
    read_path.check_indexed(view.collection, Selection(where=asked.filter))
    dimension = view.collection.dimension
    for each in asked.knn:
        if isinstance(each, SparseKnn):
            schema.sparse_index(view.collection.schema, each.key)
        elif dimension is not None and len(each.query) != dimension:
            raise WrongDimension(dimension, len(each.query))


def _execute_one(view: Snapshot, asked: Search, named: Sequence[str], exact_rows: int) -> SearchResult:
    with phase("filter"):
        chosen = select.selection_masks(view, Selection(where=asked.filter), named)
    end = None if asked.limit is None else asked.offset + asked.limit
    if asked.rank is None:
        with phase("filter"):
            parts, rows = select.in_insertion_order(view, chosen, asked.offset, asked.limit)
        page = _RankedRows(parts, rows, np.arange(asked.offset, asked.offset + len(parts), dtype=np.float32))
    else:
        with phase("search"):
            found = [_knn_scores(view, chosen, each, exact_rows) for each in asked.knn]
        with phase("rank"):
            order = _rank(view, asked.rank, found)
            if asked.groups is not None:
                order = _group(view, asked.groups, order)
            page = order.at(slice(asked.offset, end))
    with phase("fetch"):
        return SearchResult(fetch.materialize(view, page.groups, page.rows, asked.include), page.scores)


def _knn_scores(view: Snapshot, chosen: list[Mask | None], asked: DenseKnn | SparseKnn, exact_rows: int) -> Neighbors:
    if isinstance(asked, SparseKnn):
        return sparse_knn(view, chosen, asked.key, asked.query, asked.limit)
    space = Space(schema.index_parameters(view.collection.schema).space)
    return knn_planner.knn(view, chosen, KnnQuery(space, asked.query, asked.limit, exact_rows))


def _rank(view: Snapshot, rank: Rank, found: Sequence[Neighbors]) -> _RankedRows:
    """Every record that the expression supports, in order. In it, records go by their place among all rows."""
    bases = np.cumsum([0, *(live.rows.rows for live in view.row_groups)])
    domain = evaluate(rank, [KnnHits(bases[each.groups] + each.rows, each.distances) for each in found])
    parts = np.searchsorted(bases, domain.records, side="right") - 1
    rows = domain.records - bases[parts]
    order = np.lexsort((_row_seqs(view, parts, rows), domain.scores))
    return _RankedRows(parts, rows, domain.scores).at(order)


def _row_seqs(view: Snapshot, parts: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    ordinals = np.empty(len(parts), dtype=np.int64)
    for index in np.flatnonzero(np.bincount(parts)).tolist():
        places = np.flatnonzero(parts == index)
        ordinals[places] = view.row_groups[index].rows.row_seqs[rows[places]]
    return ordinals


def _group(view: Snapshot, groups: GroupBy, order: _RankedRows) -> _RankedRows:
    if not len(order.groups):
        return order
    columns = [live.rows.columns for live in view.row_groups]

    def sorting(key: str | None) -> NDArray[np.int64]:
        if key is None:
            return np.unique(order.scores, return_inverse=True)[1]
        return sort_keys(columns, order.groups, order.rows, key).order

    keys = [sort_keys(columns, order.groups, order.rows, each).identity for each in groups.keys]
    kept = top_k_per_group(keys, [sorting(each) for each in groups.by], groups.k, largest=groups.largest)
    return order.at(kept)
