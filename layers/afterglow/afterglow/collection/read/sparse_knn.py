"""Sparse queries: the k records whose sparse vectors under one key have the largest inner product with the query.

The distance of a record is 1 − Σ q·d over the dimensions that query and record share; records that share none are not
returned. Products are exact and summed in float64, in ascending order of dimensions; only the distance is rounded to
float32. So the distance does not depend on how records are spread over segments and memtable. Ties go by insertion
order.

With BM25 (Robertson), each component of the query is multiplied by the IDF ln((n − n_t + 0.5) / (n_t + 0.5) + 1): n is
the number of records in the snapshot with a sparse vector under the key, n_t the number of those with the component's
dimension. Both count live records, inside the filter or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import schema
from afterglow.collection.read.explanation import GroupStep, Method
from afterglow.collection.read.knn_planner import Neighbors
from afterglow.collection.replica import row_data, ttl_filter
from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.columns.column import ColumnType
from afterglow.segment import distance, maxscore, postings, rounds
from afterglow.segment.maxscore import Term
from afterglow.segment.postings import PostingList, Postings
from afterglow.segment.reader import Mask
from afterglow.segment.stored_columns import StoredColumns
from afterglow.segment.stored_postings import RangedPostings

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SparseQuery:
    """A sparse query vector: `indices` ascending and distinct, one finite value for each in `values`."""

    indices: NDArray[np.uint32]
    values: NDArray[np.float32]

    @classmethod
    def from_stored(cls, vector: Mapping[str, Any]) -> "SparseQuery":
        """The query of a sparse vector in its stored form."""
        return cls(np.array(vector["indices"], dtype=np.uint32), np.array(vector["values"], dtype=np.float32))


def sparse_knn(
    snapshot: Snapshot,
    masks: list[Mask | None],
    key: str,
    query: SparseQuery,
    k: int,
    *,
    steps: list[GroupStep] | None = None,
) -> Neighbors:
    """The k nearest records inside the masks by their sparse vectors under `key`; fewer if fewer share a dimension.

    `masks` has one mask per row group, None for all of its rows. What was done for each row group is added to `steps`.
    Raises InvalidArgument if the collection's schema has no sparse index on the key.
    """
    index = schema.sparse_index(snapshot.collection.schema, key)
    lists_of_groups = _posting_lists(snapshot.row_groups, key, query)
    weights = query.values.astype(np.float64)
    if index.bm25:
        weights *= _idf(snapshot, key, lists_of_groups, len(query.indices))
    groups, rows, products = [], [], []
    for number, (group, mask, lists) in enumerate(zip(snapshot.row_groups, masks, lists_of_groups, strict=True)):
        terms = [
            Term(weight, postings_of_term)
            for weight, postings_of_term in zip(weights.tolist(), lists, strict=True)
            if postings_of_term is not None
        ]
        if steps is not None:
            steps.append(_step(group, mask, key, terms))
        top_rows, top_products = maxscore.top_k(terms, group.rows.rows, mask, k)
        groups.append(np.full(len(top_rows), number))
        rows.append(top_rows)
        products.append(top_products)
    if not groups:
        return Neighbors(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    with np.errstate(over="ignore"):  # beyond float32 a distance is infinite
        distances = distance.from_inner_products(np.concatenate(products)).astype(np.float32)
    numbers, found = np.concatenate(groups), np.concatenate(rows)
    row_seqs = row_data.row_seqs(snapshot.row_groups, numbers, found)
    order = np.lexsort((row_seqs, distances))[:k]
    return Neighbors(numbers[order], found[order], distances[order])


def _step(group: RowGroupView, mask: Mask | None, key: str, terms: Sequence[Term]) -> GroupStep:
    rows, has_index = group.rows.rows, key in group.postings
    return GroupStep(
        rows,
        rows if mask is None else int(np.count_nonzero(mask)),
        Method.POSTINGS if has_index else None,
        Method.NONE if not terms else Method.POSTINGS if has_index else Method.SCAN,
        breadth=len(terms),
        compared=sum(len(term.postings.rows) for term in terms),
    )


def _posting_lists(
    row_groups: Sequence[RowGroupView], key: str, query: SparseQuery
) -> list[Sequence[PostingList | None]]:
    """For each row group the posting list of each of the query's dimensions, deleted rows included."""
    result: list[Sequence[PostingList | None]] = []
    ranged: dict[int, RangedPostings] = {}
    for number, group in enumerate(row_groups):
        inverted = group.postings.get(key)
        if isinstance(inverted, RangedPostings):
            ranged[number] = inverted
        column = None
        if inverted is None and group.lists is None:
            column = group.rows.columns.column(key, ColumnType.SPARSE)
        if isinstance(inverted, Postings):
            result.append(inverted.lists(query.indices))
        else:
            nothing = [None] * len(query.indices)
            result.append(nothing if column is None else postings.scan_lists(column, query.indices))
    indexes = [group.lists for group in row_groups if group.lists is not None]
    if ranged:
        readers = [inverted.lists(query.indices) for inverted in ranged.values()]
        for number, lists in zip(ranged, rounds.run_together(indexes[0].objects, readers), strict=True):
            result[number] = lists
    return result


def _idf(
    snapshot: Snapshot, key: str, lists_of_groups: Sequence[Sequence[PostingList | None]], dimensions: int
) -> Weights:
    """The IDF of each of the query's dimensions."""
    records = 0
    document_frequency = np.zeros(dimensions, dtype=np.float64)
    for group, lists in zip(snapshot.row_groups, lists_of_groups, strict=True):
        excluded = ttl_filter.excluded_rows(group, snapshot.expiry)
        count = _live_vectors(group, key, excluded)
        if count:
            records += count
            document_frequency += [maxscore.live_postings(posting_list, excluded) for posting_list in lists]
    factors: Weights = np.log((records - document_frequency + 0.5) / (document_frequency + 0.5) + 1)
    return factors


def _live_vectors(group: RowGroupView, key: str, excluded: Mask | None) -> int:
    """How many rows that are not excluded have a sparse vector under `key`."""
    columns = group.rows.columns
    if isinstance(columns.columns, StoredColumns):
        count = columns.columns.sparse_count(key)
        rows = columns.columns.sparse_rows(key) if count and excluded is not None else None
        return maxscore.live_entries(count, rows, excluded) if count else 0
    column = columns.column(key, ColumnType.SPARSE)
    return 0 if column is None else maxscore.live_entries(column.count, column.row_ids, excluded)
