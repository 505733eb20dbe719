"""Sparse queries: the k records whose sparse vectors under one key have the largest inner product with the query.

The distance of a record is 1 − Σ q·d over the dimensions that both have, and a record that shares none is not found at
all. Every product is exact and their sum is taken in float64, in ascending order of dimensions; only the distance is
rounded to float32. So it does not depend on how records lie in segments and tail. Ties go by insertion ordinal.

With BM25 each component of the query is multiplied by ln((n − n_t + 0.5) / (n_t + 0.5) + 1), where n records of the
view have a sparse vector under the key, and n_t of them the component's dimension. Both count what lives in the view,
whether the filter chooses it or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import schema
from afterglow.collection.read.knn_planner import Neighbors
from afterglow.collection.replica import ttl_filter
from afterglow.collection.replica.replica import Snapshot
from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.columns.column import ColumnType
from afterglow.segment import maxscore, postings
from afterglow.segment.maxscore import Term
from afterglow.segment.postings import PostingList
from afterglow.segment.reader import Mask

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SparseQuery:
    """A sparse vector to search with: `indices` ascending and distinct, `values` finite, one for each."""

    indices: NDArray[np.uint32]
    values: NDArray[np.float32]


def sparse_knn(view: Snapshot, chosen: list[Mask | None], key: str, query: SparseQuery, k: int) -> Neighbors:
    """The k nearest chosen records by their sparse vectors under `key`; fewer where fewer share a dimension with it.

    `chosen` has a mask for each part of the view, None where every row of it is meant. Raises InvalidArgument where
    the collection's schema has no sparse index on the key.
    """
    index = schema.sparse_index(view.collection.schema, key)
    lists = [_posting_lists(live, key, query) for live in view.row_groups]
    weights = query.values.astype(np.float64)
    if index.bm25:
        weights *= _idf(view, key, lists, len(query.indices))
    parts, rows, sums, ordinals = [], [], [], []
    for number, (live, mask, found) in enumerate(zip(view.row_groups, chosen, lists, strict=True)):
        terms = [Term(weight, each) for weight, each in zip(weights.tolist(), found, strict=True) if each is not None]
        here, products = maxscore.top_k(terms, live.rows.rows, mask, k)
        parts.append(np.full(len(here), number))
        rows.append(here)
        sums.append(products)
        ordinals.append(live.rows.row_seqs[here])
    if not parts:
        return Neighbors(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    with np.errstate(over="ignore"):  # beyond float32 a distance is infinite
        distances = (1 - np.concatenate(sums)).astype(np.float32)
    order = np.lexsort((np.concatenate(ordinals), distances))[:k]
    return Neighbors(np.concatenate(parts)[order], np.concatenate(rows)[order], distances[order])


def _posting_lists(live: RowGroupView, key: str, query: SparseQuery) -> Sequence[PostingList | None]:
    """The rows of a part that have each of the query's dimensions, dead ones included."""
    lane = live.rows.columns.column(key, ColumnType.SPARSE)
    if lane is None:
        return [None] * len(query.indices)
    inverted = live.postings.get(key)
    return postings.scan_lists(lane, query.indices) if inverted is None else inverted.lists(query.indices)


def _idf(view: Snapshot, key: str, lists: Sequence[Sequence[PostingList | None]], dimensions: int) -> Weights:
    """BM25's factor for each of the query's dimensions."""
    records = 0
    having = np.zeros(dimensions, dtype=np.float64)
    for live, found in zip(view.row_groups, lists, strict=True):
        lane = live.rows.columns.column(key, ColumnType.SPARSE)
        if lane is not None:
            dead = ttl_filter.excluded_rows(live, view.expiry)
            records += maxscore.live_entries(lane, live.rows.rows, dead)
            having += [maxscore.live_postings(each, dead) for each in found]
    factors: Weights = np.log((records - having + 0.5) / (having + 0.5) + 1)
    return factors
