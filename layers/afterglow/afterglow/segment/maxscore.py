"""MaxScore (Turtle & Flood 1995), term at a time: the exact k best rows of a row group by sparse inner product.

Accumulators sum the lists of the query's dimensions, those with the largest upper bound first. As soon as the bounds of
the remaining lists can lift neither a new row above the k-th best sum, nor more than a few of the rows with a sum, only
those few are looked up in the remaining lists. The bounds also hold with negative components, but are weaker then.

The final sums are always computed anew, in float64 and in ascending order of dimensions: the result depends neither on
the order of the lists nor on the pruning. Measured on 63,436 packages of 30 terms each, whose lists of a query
hold 19,000 rows in the median: 0.2 ms for its 10 best, 0.3 ms for queries of 8 terms, 0.27 ms for the 100 best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from afterglow.segment.postings import PostingList

Rows = NDArray[np.int64]
Sums = NDArray[np.float64]
Mask = NDArray[np.bool_]

_LOOKUP = 16
"""The cost of a lookup of a row in a list, in postings summed."""
_PASS = 16
"""How many rows a pass over all sums processes in the time of one posting."""
_ROUNDING = 2.0**-23
"""Relative rounding of a float32, the type of the final distances."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Term:
    """One dimension of a query: its weight, and the rows of a row group that have it."""

    weight: float
    postings: PostingList

    @property
    def upper_bound(self) -> float:
        """The largest contribution to the sum of a row, which may not have the dimension."""
        return max(0.0, self.weight * self.postings.max_value, self.weight * self.postings.min_value)

    @property
    def lower_bound(self) -> float:
        """The smallest contribution to the sum of a row, which may not have the dimension."""
        return min(0.0, self.weight * self.postings.max_value, self.weight * self.postings.min_value)


def live_entries(count: int, row_ids: NDArray[np.uint32] | None, deleted: Mask | None) -> int:
    """How many of `count` rows are not deleted; `row_ids` are these rows, None: all of the row group."""
    if deleted is None:
        return count
    return count - int(np.count_nonzero(deleted if row_ids is None else deleted[row_ids]))


def live_postings(postings: PostingList | None, deleted: Mask | None) -> int:
    """How many rows of a list are not deleted."""
    if postings is None:
        return 0
    return len(postings.rows) - (0 if deleted is None else int(np.count_nonzero(deleted[postings.rows])))


def top_k(terms: Sequence[Term], rows: int, mask: Mask | None, k: int) -> tuple[Rows, Sums]:
    """Rows, ascending, that include the k best in `mask` (None: all), and their inner products with the query.

    `terms` are in ascending order of dimensions. The result includes every row that may tie with the k-th best once the
    distance 1 − sum is rounded to float32. It has no row without any of the dimensions.
    """
    postings = sum(len(term.postings.rows) for term in terms)
    allowed = None if mask is None else int(np.count_nonzero(mask))
    if not terms or allowed == 0 or k == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
    if mask is not None and allowed is not None and allowed * len(terms) * _LOOKUP <= postings:
        return _rescore(terms, np.flatnonzero(mask))
    return _rescore(terms, _prune(terms, rows, mask, k))


def _rescore(terms: Sequence[Term], candidates: Rows) -> tuple[Rows, Sums]:
    """The candidates (ascending) that have a dimension of the query, and their inner products with it."""
    sums = np.zeros(len(candidates), dtype=np.float64)
    is_hit = np.zeros(len(candidates), dtype=np.bool_)
    targets = candidates.astype(np.uint32)
    for term in terms:
        rows = term.postings.rows
        positions = np.searchsorted(rows, targets)
        positions[positions == len(rows)] = 0
        hits = np.flatnonzero(rows[positions] == targets)
        sums[hits] += np.float64(term.weight) * term.postings.values[positions[hits]]
        is_hit[hits] = True
    return candidates[is_hit], sums[is_hit]


def _prune(terms: Sequence[Term], rows: int, mask: Mask | None, k: int) -> Rows:
    """Rows in `mask`, ascending, that may be among the k best, and few others."""
    order = sorted(terms, key=lambda term: (-term.upper_bound, len(term.postings.rows)))
    upper = _remaining_bounds([term.upper_bound for term in order])
    lower = _remaining_bounds([term.lower_bound for term in order])
    remaining_postings = _remaining_bounds([len(term.postings.rows) for term in order])
    slack = _ROUNDING * (2.0 + upper[0] - lower[0])
    sums: Sums = np.zeros(rows, dtype=np.float64)
    # The k-th best sum so far, 0 as long as fewer than k rows have one.
    threshold = 0.0
    for number, term in enumerate(order, 1):
        sums[term.postings.rows.astype(np.intp)] += np.float64(term.weight) * term.postings.values
        threshold = max(0.0, threshold + term.lower_bound)
        max_gain, postings_left = upper[number] - lower[number] + slack, remaining_postings[number]
        is_early = upper[0] - upper[number] <= max_gain
        if postings_left and (is_early or postings_left * _PASS < rows):
            continue
        threshold = _kth_score(_above(sums, mask, threshold), sums, k)
        if threshold > max_gain:
            candidates = _above(sums, mask, threshold - max_gain)
            if not postings_left or len(candidates) * len(terms) * _LOOKUP <= postings_left:
                return candidates
    is_touched = np.zeros(rows, dtype=np.bool_)
    for term in terms:
        is_touched[term.postings.rows] = True
    candidates = np.flatnonzero(is_touched if mask is None else is_touched & mask)
    if len(candidates) <= k:
        return candidates
    return candidates[sums[candidates] >= _kth_score(candidates, sums, k) - slack]


def _remaining_bounds(amounts: Sequence[float]) -> list[float]:
    """The sum of all amounts, of all but the first, …, of none: 0."""
    return [*accumulate(reversed(amounts), initial=0)][::-1]


def _above(sums: Sums, mask: Mask | None, threshold: float) -> Rows:
    """The rows in `mask` whose sums are at least `threshold`, and more than 0."""
    rows = np.flatnonzero(sums >= threshold if threshold > 0 else sums > 0)
    return rows if mask is None else rows[mask[rows]]


def _kth_score(rows: Rows, sums: Sums, k: int) -> float:
    """The k-th largest of these rows' sums, 0 if there are fewer; beyond float32 all sums of one sign are equal."""
    if len(rows) < k:
        return 0.0
    kth = float(np.partition(sums[rows], len(rows) - k)[len(rows) - k])
    return min(kth, _LARGEST) if kth > -_LARGEST else -np.inf
