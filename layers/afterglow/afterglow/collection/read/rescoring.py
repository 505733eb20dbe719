"""Exact distances of the candidates that a clustered segment's codes rank first.

1. Of all segments together choose so many as hold the k nearest for the promised recall (`best`).
2. Read their vectors, and the records of those that are likely to be in the result, in one round; compute exact
   distances (`rescore`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.read.explanation import GroupStep
from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.segment import distance
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.list_index import ListIndex
from afterglow.segment.lists import Candidates, bound_of_best
from afterglow.segment.places import Places
from afterglow.segment.reader import Mask
from afterglow.segment.row_group import RowGroup
from afterglow.storage.ports import Objects

Rows = NDArray[np.int64]

_MAX_LIKELY = 1_000


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest rows of a group, nearest first, (n,): rows, distances, and insertion sequence numbers."""

    rows: Rows
    distances: Vectors
    row_seqs: Rows


@dataclass(frozen=True, slots=True)
class ClusteredGroup:
    """A row group with lists; `matching` of its rows are inside the mask. `step` records what is done, if recorded."""

    rows: RowGroup
    index: ListIndex
    mask: Mask | None
    matching: int
    step: GroupStep | None = None

    @staticmethod
    def of(group: RowGroupView, index: ListIndex, mask: Mask | None, step: GroupStep | None = None) -> "ClusteredGroup":
        """The row group under a mask, None: all rows."""
        matching = group.rows.rows if mask is None else int(np.count_nonzero(mask))
        return ClusteredGroup(group.rows, index, mask, matching, step)


def best(indexes: Sequence[ListIndex], found: Sequence[Candidates], count: int) -> list[tuple[ListIndex, Places]]:
    """The places of the `count` best candidates of all groups, by group."""
    last = bound_of_best([candidates.keys for candidates in found], count)
    return [
        (index, candidates.places.take(np.flatnonzero(candidates.keys <= last)))
        for index, candidates in zip(indexes, found, strict=True)
    ]


def rescore(
    objects: Objects, space: Space, vector: Vectors, k: int, candidates: Sequence[tuple[ListIndex, Places]]
) -> list[Nearest]:
    """The k nearest of the candidates of each group, by exact distance."""
    requests = [index.reader.vector_request(places) for index, places in candidates]
    # The records of the result are read in the same round: nearly always it is among the first by estimated distance.
    likely = k + k // 2 + 4
    if likely <= _MAX_LIKELY:
        requests += [index.reader.record_request(places.take(slice(0, likely))) for index, places in candidates]
    results = []
    for (index, places), data in zip(candidates, objects.need(requests), strict=False):
        distances = distance.exact_distances(space, index.reader.vectors(data, places), vector)
        order = np.lexsort((places.row_seqs, distances))[:k]
        nearest = places.take(order)
        index.reader.remember(nearest)
        results.append(Nearest(nearest.rows, distances[order], nearest.row_seqs))
    return results
