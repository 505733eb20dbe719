"""k nearest neighbours over clustered segments: their lists are probed as if they were one index.

1. Rank the centroids of all segments by distance. Probe the nearest of them: at most as many as the segments need
   together, each for its share of the k neighbours, and none that is much farther than the nearest one of its segment
   (`segment.breadth`). A segment's share is that of its rows, or of its rows in the nearest lists if that is more: by
   the order in which a collection was loaded, all neighbours may be in one segment, or some in each.
2. Of many lists read only those that hold one of the best rows by binary codes (`shortlist`).
3. Rank the entries of these lists that are inside the masks, by their codes.
4. Read the vectors of the best, and the records of those that are likely to be in the result; compute exact
   distances.

Before each step one `Objects.need` brings in what is missing, of all segments at once.

Under a filter, lists without any matching row are left out, and more of the others are probed as fewer rows match in
them (`filtered_breadth`). If too few rows are found for k, twice as many lists are probed, however far they are, in the
end every list with a match: a search returns k rows whenever the filter leaves k rows.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.read.explanation import Method
from afterglow.collection.read.filtered_breadth import depth, lists_to_probe
from afterglow.collection.read.rescoring import ClusteredGroup, Nearest, best, rescore
from afterglow.collection.read.shortlist import Probed, Shortlist, shorten
from afterglow.segment import lists
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.exact_knn import Rows
from afterglow.segment.list_index import read_roots
from afterglow.segment.lists import Candidates
from afterglow.storage.ports import Bytes

_ALMOST_ALL = 0.9
"""From this share of matching rows on, nearly every list has one."""
_LISTS_OF_PARTS = 64
"""From so many of the nearest lists the parts of the groups are estimated."""


def knn_in_lists(groups: Sequence[ClusteredGroup], space: Space, vector: Vectors, k: int) -> list[Nearest]:
    """For each group its rows among the k nearest to a query (d,), nearest first, with their exact distances.

    Fewer than k rows together only if fewer match.
    """
    objects = groups[0].index.objects
    read_roots([group.index for group in groups], search=True, rows=False)
    rows, matching = sum(group.rows.rows for group in groups), sum(group.matching for group in groups)
    searches = [_Search(group, vector) for group in groups]
    k = min(k, matching)
    share = matching / rows
    nearest: Rows | None = None
    if share < _ALMOST_ALL:
        counts = _counts(searches, depth(k, share))
        nearest = np.argsort(np.concatenate([search.keys for search in searches]))
        probes, share = _filtered(searches, k, counts, nearest)
    else:
        counts = _counts(searches, k)
        probes = _probes(searches, counts, share)
    # Without any match nothing is probed.
    within = [search.within(count / share if share else 0.0) for search, count in zip(searches, counts, strict=True)]
    while True:
        chosen = _choose(searches, probes, within, nearest)
        short = shorten(objects, [search.probed(numbers) for search, numbers in zip(searches, chosen, strict=True)], k)
        read = objects.need(
            [search.group.index.list_request(numbers) for search, numbers in zip(searches, short.numbers, strict=True)]
        )
        found = [
            search.run(data, numbers, k) for search, data, numbers in zip(searches, read, short.numbers, strict=True)
        ]
        _record(searches, chosen, short)
        is_complete = sum(map(len, chosen)) >= sum(search.lists for search in searches)
        if is_complete or sum(len(candidates.keys) for candidates in found) >= k:
            break
        probes, within = 2 * probes, [np.inf] * len(searches)
    indexes = [search.group.index for search in searches]
    count = max(math.ceil(index.centroids.rescored.at(k)) for index in indexes)
    return rescore(objects, space, vector, k, best(indexes, found, max(count, k), k))


def _record(searches: Sequence["_Search"], chosen: Sequence[Rows], short: Shortlist) -> None:
    """Record the lists that are probed, for the groups whose steps are recorded."""
    for search, numbers, listed, estimated in zip(searches, chosen, short.numbers, short.estimated, strict=True):
        step = search.group.step
        if step is not None and len(numbers):
            step.method, step.recall, step.of = Method.LISTS, search.group.index.recall_target, search.lists
            step.breadth = max(step.breadth or 0, len(numbers))
            step.compared += estimated + int(search.group.index.centroids.entries_of(listed)[1].sum())


class _Search:
    """The search of one group: the distances to its centroids, infinite for lists that are left out."""

    def __init__(self, group: ClusteredGroup, vector: Vectors) -> None:
        self.group = group
        self._centroids = group.index.centroids
        self._query = self._centroids.projection.query(vector)
        self._distances = self._centroids.distances(self._query)
        self._nearest = float(self._distances.min())
        self.keys: NDArray[np.float64] = self._centroids.projection.comparable(self._distances)
        self.lists = len(self.keys)

    @property
    def list_rows(self) -> Rows:
        """The number of rows in each list."""
        return np.diff(self._centroids.starts)

    def probes(self, count: float) -> int:
        """The lists to probe at most for so many of the nearest rows, inside the mask or not."""
        return self.group.index.probes(count) if self.group.matching else 0

    def within(self, count: float) -> float:
        """How much farther than the nearest list these are at most."""
        return self.group.index.within(count, self._nearest) if self.group.matching else 0.0

    def leave_out_lists_without_match(self) -> tuple[Rows, Rows]:
        """Leave out the lists without a row inside the mask. Returns the rows of each list, and those inside."""
        starts, mask, rows = self._centroids.starts, self.group.mask, self.list_rows
        if mask is None:
            return rows, rows
        matches = np.add.reduceat(mask, starts[:-1], dtype=np.int64)
        self.keys[matches == 0] = np.inf
        self.lists = int(np.count_nonzero(matches))
        return rows, matches

    def probed(self, numbers: Rows) -> Probed:
        """The lists that were chosen."""
        return Probed(self.group.index, self.group.mask, self._query, self._distances, numbers)

    def run(self, data: Bytes, numbers: Rows, k: int) -> Candidates:
        """The best candidates in these lists, whose bytes are in `data`."""
        group = self.group
        count = math.ceil(self._centroids.rescored.at(k))
        return group.index.open(data).search(self._query, numbers, group.mask, max(count, k))


def _counts(searches: Sequence[_Search], k: float) -> list[float]:
    """How many of the k neighbours each group is likely to have at most, at least one.

    It is the group's part of all rows, or of those in the nearest lists if that is more.
    """
    if len(searches) == 1:
        return [max(float(k), 1.0)]
    nearest = lists.nearest_lists(np.concatenate([search.keys for search in searches]), _LISTS_OF_PARTS)
    near = np.array(
        [search.list_rows[own].sum() for search, own in zip(searches, _by_group(searches, nearest), strict=True)]
    )
    every = np.array([search.group.rows.rows for search in searches])
    parts = np.maximum(near / max(near.sum(), 1), every / every.sum())
    counts: list[float] = np.maximum(k * parts, 1.0).tolist()
    return counts


def _probes(searches: Sequence[_Search], counts: Sequence[float], share: float) -> int:
    """The lists to probe at most for `counts` neighbours of the groups, where a `share` of the rows matches."""
    return sum(search.probes(count / share) for search, count in zip(searches, counts, strict=True))


def _filtered(searches: Sequence[_Search], k: int, counts: Sequence[float], nearest: Rows) -> tuple[int, float]:
    """How many lists to probe under a filter, and the share of matching rows in them; lists without any are left out.

    `nearest` are the lists of all groups, nearest first.
    """
    rows, matches = map(
        np.concatenate, zip(*(search.leave_out_lists_without_match() for search in searches), strict=True)
    )
    return lists_to_probe(rows[nearest], matches[nearest], k, lambda share: _probes(searches, counts, share))


def _choose(searches: Sequence[_Search], probes: int, within: Sequence[float], order: Rows | None = None) -> list[Rows]:
    """The `probes` nearest lists of all groups, by group, without those that are much farther than its nearest one.

    `within` says for each group how much: it was measured from the nearest list of the group itself. `order`: the lists
    of all groups, nearest first, if it is known.
    """
    keys = np.concatenate([search.keys for search in searches])
    if order is None:
        nearest = lists.nearest_lists(keys, min(probes, len(keys)))
    else:
        nearest = order[np.isfinite(keys[order])][:probes]
    bounds = [search.keys.min() + farther for search, farther in zip(searches, within, strict=True)]
    farthest = np.repeat(bounds, [len(search.keys) for search in searches])
    nearest = nearest[np.isfinite(keys[nearest]) & (keys[nearest] <= farthest[nearest])]
    return _by_group(searches, nearest)


def _by_group(searches: Sequence[_Search], numbers: Rows) -> list[Rows]:
    """Lists that are numbered through all groups, by group, as numbers in it."""
    ends = np.cumsum([len(search.keys) for search in searches])
    groups = np.searchsorted(ends, numbers, side="right")
    return [
        numbers[groups == number] - (end - len(search.keys))
        for number, (search, end) in enumerate(zip(searches, ends.tolist(), strict=True))
    ]
