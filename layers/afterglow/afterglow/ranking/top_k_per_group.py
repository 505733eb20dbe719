"""The k best records of each group, over integer codes that represent the values (`sort_keys.SortKeys`)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]


def top_k_per_group(groups: Sequence[Codes], by: Sequence[Codes], k: int, *, largest: bool) -> Codes:
    """The positions of the first k records of each group, ascending.

    `groups` has an array per grouping key: records of one group agree in all of them. `by` has one per sort key, the
    most significant first; `largest` sorts in descending order. Ties are broken by position.
    """
    group = _group_codes(groups)
    sort_columns = [-codes if largest else codes for codes in by]
    order = np.lexsort((*reversed(sort_columns), group))
    sorted_groups = group[order]
    rank_in_group = np.arange(len(order)) - np.searchsorted(sorted_groups, sorted_groups)
    return np.sort(order[rank_in_group < k])


def _group_codes(groups: Sequence[Codes]) -> Codes:
    """One code per record, equal for records that agree in all arrays."""
    combined = np.zeros(len(groups[0]), dtype=np.int64)
    for codes in groups:
        _, dense = np.unique(codes, return_inverse=True)
        _, combined = np.unique(combined * (dense.max(initial=0) + 1) + dense, return_inverse=True)
    return combined
