"""The best few of each group, over arrays of numbers that stand for the values (`values.Codes`)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def top_k_per_group(groups: Sequence[Numbers], by: Sequence[Numbers], k: int, *, largest: bool) -> Numbers:
    """The places of the k first of each group, ascending.

    `groups` has an array per grouping key: records of one group agree in all of them. `by` has one per key to sort by,
    the most significant first; `largest` puts large numbers first. Ties go to the smaller place.
    """
    group = _numbered(groups)
    sorting = [-each if largest else each for each in by]
    order = np.lexsort((*reversed(sorting), group))
    sorted_groups = group[order]
    place_in_group = np.arange(len(order)) - np.searchsorted(sorted_groups, sorted_groups)
    return np.sort(order[place_in_group < k])


def _numbered(groups: Sequence[Numbers]) -> Numbers:
    """One number per record, the same for those that agree in all arrays."""
    number = np.zeros(len(groups[0]), dtype=np.int64)
    for each in groups:
        _, own = np.unique(each, return_inverse=True)
        _, number = np.unique(number * (own.max(initial=0) + 1) + own, return_inverse=True)
    return number
