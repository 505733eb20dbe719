"""Sparse queries: the k records whose sparse vectors under one key have the largest inner product with the query.

The distance of a record is 1 − Σ q·d over the dimensions that both have, and a record that shares none is not found at
all. Every product is exact and their sum is taken in float64, in ascending order of dimensions; only the distance is
rounded to float32. So it does not depend on how records lie in segments and tail. Ties go by insertion ordinal.

With BM25 each component of the query is multiplied by ln((n − n_t + 0.5) / (n_t + 0.5) + 1), where n records of the
view have a sparse vector under the key, and n_t of them the component's dimension. Both count what lives in the view,
whether the filter chooses it or not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.catalog import schema
from afterglow.collection.replica import View
from afterglow.collection.search import Neighbours
from afterglow.columns.lanes import Kind
from afterglow.segment import sparse
from afterglow.segment.reader import Mask


@dataclass(frozen=True, slots=True)
class SparseQuery:
    """A sparse vector to search with: `indices` ascending and distinct, `values` finite, one for each."""

    indices: NDArray[np.uint32]
    values: NDArray[np.float32]


def nearest_sparse(view: View, chosen: list[Mask | None], key: str, query: SparseQuery, k: int) -> Neighbours:
    """The k nearest chosen records by their sparse vectors under `key`; fewer where fewer share a dimension with it.

    `chosen` has a mask for each part of the view, None where every row of it is meant. Raises InvalidArgument where
    the collection's schema has no sparse index on the key.
    """
    schema.sparse_index(view.collection.schema, key)
    weights = query.values.astype(np.float64)
    parts, rows, sums = [], [], []
    for index, (live, mask) in enumerate(zip(view.parts, chosen, strict=True)):
        lane = live.part.columns.lane(key, Kind.SPARSE)
        if lane is None:
            continue
        found, products = sparse.scan(lane, mask, query.indices, weights)
        parts.append(np.full(len(found), index))
        rows.append(found)
        sums.append(products)
    if not parts:
        return Neighbours(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    part, row = np.concatenate(parts), np.concatenate(rows)
    distances = (1 - np.concatenate(sums)).astype(np.float32)
    ordinals = np.empty(len(row), dtype=np.int64)
    for index, live in enumerate(view.parts):
        here = part == index
        ordinals[here] = live.part.ordinals[row[here]]
    order = np.lexsort((ordinals, distances))[:k]
    return Neighbours(part[order], row[order], distances[order])
