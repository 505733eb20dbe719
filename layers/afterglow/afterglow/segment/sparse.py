"""Inner products of sparse vectors: the exact ones, over the lane of a part."""

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.lanes import Lane

Rows = NDArray[np.int64]
Sums = NDArray[np.float64]


def scan(
    lane: Lane, mask: NDArray[np.bool_] | None, dimensions: NDArray[np.uint32], weights: Sums
) -> tuple[Rows, Sums]:
    """The rows in `mask` (None: all) that have one of the dimensions, ascending, and their inner products.

    `dimensions` ascend; `weights` (float64) are one for each.
    """
    assert lane.offsets is not None
    assert lane.indices is not None
    ends = lane.offsets.view(np.int64)
    positions = np.flatnonzero(np.isin(lane.indices, dimensions))
    entries = np.searchsorted(ends, positions, side="right") - 1
    places = np.searchsorted(dimensions, lane.indices[positions])
    sums = np.bincount(entries, lane.values[positions].astype(np.float64) * weights[places], lane.entries)
    found: Rows = np.unique(entries).astype(np.int64)
    rows = found if lane.rows is None else lane.rows[found].astype(np.int64)
    if mask is not None:
        kept = mask[rows]
        found, rows = found[kept], rows[kept]
    return rows.astype(np.int64), sums[found].astype(np.float64)
