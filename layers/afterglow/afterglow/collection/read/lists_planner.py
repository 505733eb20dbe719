"""k nearest neighbours over clustered segments: their lists are probed as if they were one index.

1. Rank the centroids of all segments by distance. Probe the nearest of them: as many as the segments need together,
   each for its share of the k neighbours (`segment.breadth`). Where a filter leaves a share s of the rows, the
   k nearest of these are about the k / s nearest of all, so as many lists as those need.
2. Rank the entries of these lists that are inside the masks, by their codes.
3. Compute exact distances of the best.

If the lists hold fewer than half of the matching rows that an even spread would give (the rows of a filter lie
elsewhere), or too few for k, lists without any matching row are left out, and twice as many are probed. In the end that
is every list with a match: a search returns k rows whenever the filter leaves k rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.segment import exact_knn, lists
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.exact_knn import Rows
from afterglow.segment.lists import Candidates, ListIndex
from afterglow.segment.reader import Mask
from afterglow.segment.row_group import RowGroup

_MIN_SPREAD = 0.5


@dataclass(frozen=True, slots=True)
class ClusteredGroup:
    """A row group with lists; `matching` of its rows are inside the mask."""

    rows: RowGroup
    index: ListIndex
    mask: Mask | None
    matching: int

    @staticmethod
    def of(group: RowGroupView, index: ListIndex, mask: Mask | None) -> "ClusteredGroup":
        """The row group under a mask, None: all rows."""
        matching = group.rows.rows if mask is None else int(np.count_nonzero(mask))
        return ClusteredGroup(group.rows, index, mask, matching)


def knn_in_lists(groups: Sequence[ClusteredGroup], space: Space, vector: Vectors, k: int) -> list[tuple[Rows, Vectors]]:
    """For each group its rows among the k nearest to a query (d,), nearest first, with their exact distances.

    Fewer than k rows together only if fewer match.
    """
    searches = [_Search(group, vector) for group in groups]
    rows, matching = sum(group.rows.rows for group in groups), sum(group.matching for group in groups)
    k = min(k, matching)
    probes = sum(search.probes(k, matching) for search in searches)
    is_narrowed = False
    while True:
        chosen = _choose(searches, probes)
        found = [search.run(numbers, k) for search, numbers in zip(searches, chosen, strict=True)]
        if probes >= sum(search.lists for search in searches):
            break
        has_enough = sum(len(candidates.rows) for candidates in found) >= k
        seen = sum(search.entries(numbers) for search, numbers in zip(searches, chosen, strict=True))
        is_spread = sum(candidates.matches for candidates in found) >= _MIN_SPREAD * seen * matching / rows
        if has_enough and (is_spread or is_narrowed):
            break
        if not is_narrowed:
            is_narrowed = True
            for search in searches:
                search.leave_out_lists_without_match()
        if not has_enough:
            probes *= 2
    best = _best(searches, found, k)
    return [
        exact_knn.rerank(group.rows, space, vector, rows, k) if len(rows) else (rows, np.empty(0, np.float32))
        for group, rows in zip(groups, best, strict=True)
    ]


class _Search:
    """The search of one group: the distances to its centroids, infinite for lists that are left out."""

    def __init__(self, group: ClusteredGroup, vector: Vectors) -> None:
        self.group = group
        self._centroids = group.index.centroids
        self._query = self._centroids.projection.query(vector)
        distances = self._centroids.distances(self._query)
        self.keys: NDArray[np.float64] = self._centroids.projection.comparable(distances)
        self.lists = len(self.keys)

    def probes(self, k: int, matching: int) -> int:
        """The lists to probe for this group's share of the k nearest of `matching` rows."""
        if not self.group.matching:
            return 0
        share = max(k * self.group.matching / matching, 1.0)
        return self.group.index.probes(share * self.group.rows.rows / self.group.matching)

    def entries(self, numbers: Rows) -> int:
        """The entries of these lists."""
        return int((self._centroids.entry_starts[numbers + 1] - self._centroids.entry_starts[numbers]).sum())

    def run(self, numbers: Rows, k: int) -> Candidates:
        """The best candidates in these lists."""
        group = self.group
        count = int(np.ceil(self._centroids.rescored.at(k)))
        return group.index.search(self._query, numbers, group.mask, max(count, k))

    def leave_out_lists_without_match(self) -> None:
        """Leave out the lists without a row inside the mask."""
        mask = self.group.mask
        if mask is None:
            return
        has_match = np.logical_or.reduceat(mask, self._centroids.starts[:-1])
        self.keys[~has_match] = np.inf
        self.lists = int(np.count_nonzero(has_match))


def _choose(searches: Sequence[_Search], probes: int) -> list[Rows]:
    """The `probes` nearest lists of all groups, by group."""
    keys = np.concatenate([search.keys for search in searches])
    nearest = lists.nearest_lists(keys, min(probes, len(keys)))
    nearest = nearest[np.isfinite(keys[nearest])]
    ends = np.cumsum([len(search.keys) for search in searches])
    groups = np.searchsorted(ends, nearest, side="right")
    return [
        nearest[groups == number] - (end - len(search.keys))
        for number, (search, end) in enumerate(zip(searches, ends.tolist(), strict=True))
    ]


def _best(searches: Sequence[_Search], found: Sequence[Candidates], k: int) -> list[Rows]:
    """The rows of each group to rescore: the best of all groups, as many as one group would rescore."""
    if len(found) == 1:
        return [found[0].rows]
    count = max(int(np.ceil(search.group.index.centroids.rescored.at(k))) for search in searches)
    keys = np.concatenate([candidates.keys for candidates in found])
    if len(keys) <= max(count, k):
        return [candidates.rows for candidates in found]
    last = np.partition(keys, max(count, k) - 1)[max(count, k) - 1]
    return [candidates.rows[candidates.keys <= last] for candidates in found]
