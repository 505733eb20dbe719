"""How many lists a search under a filter needs.

Where a filter leaves a share s of the rows, the k nearest of these are about the k / s nearest of all, and the breadth
of the lists is known for that depth (`segment.breadth`). Four things change the number that is read:

* The depth is that of the average filter. The first match may be far behind it: by a filter of 10 % the nearest row is
  the tenth of all on average, and one time in eight it is behind the twentieth. Of many matches few are so (`depth`).
* Lists without a match count among these, as they do without a filter, but are not read.
* Around the query fewer rows may match than elsewhere: lists are added until they suffice for the share in themselves.
* Rows that match may lie together in few lists, perhaps far from the query. Then the order of the lists says less about
  the order of their rows, and the lists without a match count the less, the fewer lists have a match in comparison with
  a filter that is independent of the vectors.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

_SPREAD, _STEADY = 2.0, 10.0
"""Standard deviations of the number of matches among so many rows; from ten matches on the breadth has enough to spare:
it finds most rows behind its depth, too. Measured at a million rows under filters of 1 and 10 %."""
_GROWTH = 1.25
"""The share in some lists is an estimate: more are added step by step."""


def depth(k: int, share: float) -> float:
    """How many neighbours to look for, inside the filter, so that the `k` nearest matches are likely to be among them.

    The matches among the nearest rows are binomial: of a number that is k on average, with deviation √(k (1 − share)).
    """
    return max(float(k), min(k + _SPREAD * math.sqrt(k * (1 - share)), _STEADY))


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
