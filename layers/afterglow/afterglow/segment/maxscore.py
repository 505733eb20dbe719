"""The nearest rows of a part by the inner product of sparse vectors, exactly, without looking at all of them.

The lists of the query's dimensions are added up one after the other, those first that can add most. As soon as what is
left can lift no row that is not there yet above the k-th best, nor more than a few of the others, only those few are
looked up in the rest. Bounds hold with negative components as well, only that they are weaker then.

The sums that decide are always taken anew, in float64 and in ascending order of dimensions: the order of the lists, and
what was left out, cannot be seen in the outcome. Measured on 63,436 packages of 30 terms each, whose lists of a query
hold 19,000 rows in the median: 0.2 ms for its 10 best, 0.3 ms for queries of 8 terms, 0.27 ms for the 100 best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import Column
from afterglow.segment.postings import PostingList

Rows = NDArray[np.int64]
Sums = NDArray[np.float64]
Mask = NDArray[np.bool_]

_LOOKUP = 16
"""What looking up a row in a list costs, in postings added up."""
_PASS = 16
"""How many rows a pass over all sums goes through in the time of one posting."""
_ROUNDING = 2.0**-23
"""Of a float32, which distances are in the end."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Term:
    """One dimension of a query: its weight, and the rows of a part that have it."""

    weight: float
    found: PostingList

    @property
    def upper_bound(self) -> float:
        """The most that it adds to the sum of a row, which may not have it."""
        return max(0.0, self.weight * self.found.max_value, self.weight * self.found.min_value)

    @property
    def lower_bound(self) -> float:
        """The least that it adds to the sum of a row, which may not have it."""
        return min(0.0, self.weight * self.found.max_value, self.weight * self.found.min_value)


def live_entries(lane: Column, rows: int, dead: Mask | None) -> int:
    """How many rows of a part of `rows` rows that are not dead have a value in the lane."""
    if dead is None:
        return lane.count
    if lane.row_ids is None:
        return rows - int(np.count_nonzero(dead))
    return lane.count - int(np.count_nonzero(dead[lane.row_ids]))


def live_postings(found: PostingList | None, dead: Mask | None) -> int:
    """How many rows of a list are not dead."""
    if found is None:
        return 0
    return len(found.rows) - (0 if dead is None else int(np.count_nonzero(dead[found.rows])))


def top_k(terms: Sequence[Term], rows: int, mask: Mask | None, k: int) -> tuple[Rows, Sums]:
    """Rows, ascending, among which are the k best in `mask` (None: all), and their inner products with the query.

    `terms` are in ascending order of dimensions. Whatever may tie with the k-th best once the distance 1 − sum is
    rounded to float32 is among them. A row that has none of the dimensions is not.
    """
    postings = sum(len(term.found.rows) for term in terms)
    chosen = None if mask is None else int(np.count_nonzero(mask))
    if not terms or chosen == 0 or k == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
    if mask is not None and chosen is not None and chosen * len(terms) * _LOOKUP <= postings:
        return _rescore(terms, np.flatnonzero(mask))
    return _rescore(terms, _prune(terms, rows, mask, k))


def _rescore(terms: Sequence[Term], candidates: Rows) -> tuple[Rows, Sums]:
    """The candidates (ascending) that have a dimension of the query, and their inner products with it."""
    sums = np.zeros(len(candidates), dtype=np.float64)
    shares = np.zeros(len(candidates), dtype=np.bool_)
    wanted = candidates.astype(np.uint32)
    for term in terms:
        rows = term.found.rows
        places = np.searchsorted(rows, wanted)
        places[places == len(rows)] = 0
        hits = np.flatnonzero(rows[places] == wanted)
        sums[hits] += np.float64(term.weight) * term.found.values[places[hits]]
        shares[hits] = True
    return candidates[shares], sums[shares]


def _prune(terms: Sequence[Term], rows: int, mask: Mask | None, k: int) -> Rows:
    """Rows in `mask`, ascending, that may be among the k best, and few others."""
    order = sorted(terms, key=lambda term: (-term.upper_bound, len(term.found.rows)))
    highest, lowest = (
        _remaining_bounds([term.upper_bound for term in order]),
        _remaining_bounds([term.lower_bound for term in order]),
    )
    postings = _remaining_bounds([len(term.found.rows) for term in order])
    slack = _ROUNDING * (2.0 + highest[0] - lowest[0])
    sums: Sums = np.zeros(rows, dtype=np.float64)
    # Once k rows have it, the k-th best sum so far; 0 before that.
    threshold = 0.0
    for number, term in enumerate(order, 1):
        sums[term.found.rows.astype(np.intp)] += np.float64(term.weight) * term.found.values
        threshold = max(0.0, threshold + term.lower_bound)
        to_come, left = highest[number] - lowest[number] + slack, postings[number]
        is_early = highest[0] - highest[number] <= to_come
        if left and (is_early or left * _PASS < rows):
            continue
        threshold = _kth_score(_above(sums, mask, threshold), sums, k)
        if threshold > to_come:
            candidates = _above(sums, mask, threshold - to_come)
            if not left or len(candidates) * len(terms) * _LOOKUP <= left:
                return candidates
    touched = np.zeros(rows, dtype=np.bool_)
    for term in terms:
        touched[term.found.rows] = True
    everything = np.flatnonzero(touched if mask is None else touched & mask)
    if len(everything) <= k:
        return everything
    return everything[sums[everything] >= _kth_score(everything, sums, k) - slack]


def _remaining_bounds(amounts: Sequence[float]) -> list[float]:
    """What is left of the sum of the amounts after none of them, after the first, …, after all: 0."""
    return [*accumulate(reversed(amounts), initial=0)][::-1]


def _above(sums: Sums, mask: Mask | None, bar: float) -> Rows:
    """The rows in `mask` whose sums are at least `bar`, and more than 0."""
    found = np.flatnonzero(sums >= bar if bar > 0 else sums > 0)
    return found if mask is None else found[mask[found]]


def _kth_score(among: Rows, sums: Sums, k: int) -> float:
    """The k-th largest of these rows' sums, 0 where there are fewer; beyond float32 all of a sign are one."""
    if len(among) < k:
        return 0.0
    found = float(np.partition(sums[among], len(among) - k)[len(among) - k])
    return min(found, _LARGEST) if found > -_LARGEST else -np.inf
