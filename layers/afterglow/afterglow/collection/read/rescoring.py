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


@dataclass(frozen=True, slots=True)
class Shortened:
    """The best candidates of a group, nearest first; the first `likely` of them are probably in the result."""

    index: ListIndex
    places: Places
    likely: int


def best(indexes: Sequence[ListIndex], found: Sequence[Candidates], count: int, k: int) -> list[Shortened]:
    """The `count` best candidates of all groups for the k nearest, by group."""
    keys = [candidates.keys for candidates in found]
    last, last_likely = bound_of_best(keys, count), bound_of_best(keys, k + k // 2 + 4)
    return [
        Shortened(
            index,
            candidates.places.take(np.flatnonzero(candidates.keys <= last)),
            int(np.count_nonzero(candidates.keys <= last_likely)),
        )
        for index, candidates in zip(indexes, found, strict=True)
    ]


def rescore(objects: Objects, space: Space, vector: Vectors, k: int, candidates: Sequence[Shortened]) -> list[Nearest]:
    """The k nearest of the candidates of each group, by exact distance."""
    requests = [part.index.reader.vector_request(part.places) for part in candidates]
    # The records of the result are read in the same round: nearly always it is among the first by estimated distance.
    if sum(part.likely for part in candidates) <= _MAX_LIKELY:
        requests += [part.index.reader.record_request(part.places.take(slice(0, part.likely))) for part in candidates]
    results = []
    for part, data in zip(candidates, objects.need(requests), strict=False):
        distances = distance.exact_distances(space, part.index.reader.vectors(data, part.places), vector)
        order = np.lexsort((part.places.row_seqs, distances))[:k]
        nearest = part.places.take(order)
        part.index.reader.remember(nearest)
        results.append(Nearest(nearest.rows, distances[order], nearest.row_seqs))
    return results
