"""How many lists a search under a filter needs.

Where a filter leaves a share s of the rows, the k nearest of these are about the k / s nearest of all, and the breadth
of the lists is known for that depth (`segment.breadth`). Three things change the number that is read:

* Lists without a match count among these, as they do without a filter, but are not read.
* Around the query fewer rows may match than elsewhere: lists are added until they suffice for the share in themselves.
* Rows that match may lie together in few lists, perhaps far from the query. Then the order of the lists says less about
  the order of their rows, and the lists without a match count the less, the fewer lists have a match in comparison with
  a filter that is independent of the vectors.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

_GROWTH = 1.25
"""The share in some lists is an estimate: more are added step by step."""


def lists_to_probe(rows: Counts, matches: Counts, k: int, needed: Callable[[float], int]) -> tuple[int, float]:
    """How many of the lists with a match to probe, and the share of matching rows for which that suffices.

    `rows` and `matches` are those of all lists, int64 (l,), nearest first. `needed` is the number of lists that a
    search needs where a share of the rows matches.
    """
    all_rows, all_matches, with_match = np.cumsum(rows), np.cumsum(matches), np.cumsum(matches > 0)
    share = float(all_matches[-1] / all_rows[-1])
    if share == 0.0:
        return 0, share
    least = count = needed(share)
    count = max(count, int(np.searchsorted(all_matches, min(k, all_matches[-1]))) + 1)
    while count < len(rows):
        share = min(share, float(all_matches[count - 1] / all_rows[count - 1]))
        enough = needed(share)
        if enough <= count:
            break
        count = min(enough, int(np.ceil(count * _GROWTH)))
    read = int(with_match[min(count, len(rows)) - 1])
    most = max(min(least, int(with_match[-1])), read)
    independent = float((1 - (1 - all_matches[-1] / all_rows[-1]) ** rows).sum())
    spread = min(float(with_match[-1]) / independent, 1.0)
    return int(np.ceil(spread * read + (1 - spread) * most)), share
