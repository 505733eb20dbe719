"""k nearest neighbours under a selective filter over clustered segments, by their covering indexes.

1. By the columns that the filter has read, find where the matching rows are in the order of one of its keys
   (`covered`). A segment where too many others are between them is left to `lists_planner`.
2. Read their entries, of all segments in one round, and estimate the distances: all of them, so no breadth is chosen.
3. Read the vectors of the best, and the records of those that are likely to be in the result (`rescoring`).

So a cold reader needs the bytes of the rows that match, and not those of the lists in which they lie.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.read.explanation import Method
from afterglow.collection.read.rescoring import ClusteredGroup, Nearest, best, rescore
from afterglow.segment import lists, two_bit_codes
from afterglow.segment.binary_codes import BinaryQuery
from afterglow.segment.covering_index import CoveringIndex, Located, Matches
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.lists import Candidates, Centroids
from afterglow.segment.places import Places
from afterglow.storage.ports import Bytes

_MOST_SHARE = 0.2
"""Entries of more rows are as many bytes as the lists of a search."""
_MOST_ON_DISK = 40_000
"""Where bytes come from a disk, entries of more rows take longer than lists: of a million rows, 3 % took 5.4 ms of CPU
by their entries and 6.0 by lists, 10 % 11.0 and 8.3, 19 % 17.7 and 8.0."""
_CHUNK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class CoveredGroup:
    """A row group, and where its matching rows are in its covering index."""

    group: ClusteredGroup
    index: CoveringIndex
    located: Located


def covered(group: ClusteredGroup, keys: Sequence[str]) -> CoveredGroup | None:
    """The group with its matching rows located by one of these keys of the filter; None where it is not worth it."""
    most = _MOST_SHARE * group.rows.rows
    if not group.index.objects.evicts:
        most = min(most, _MOST_ON_DISK)
    if group.mask is None or not 0 < group.matching <= most:
        return None
    covering = group.index.covering if keys else None
    if covering is None:
        return None
    columns = group.rows.columns.columns
    for key in keys:
        located = covering.locate(key, columns.get(key, ()), group.mask, most)
        if located is not None:
            return CoveredGroup(group, covering, located)
    return None


def knn_covered(groups: Sequence[CoveredGroup], space: Space, vectors: Vectors, k: int) -> list[list[Nearest]]:
    """For each query of `vectors` (m, d) and each group its rows among the k nearest, with their exact distances.

    Nearest first; the queries share what is read.
    """
    indexes = [part.group.index for part in groups]
    objects = indexes[0].objects
    read = objects.need([part.index.request(part.located) for part in groups])
    matches = [_matches(part, data) for part, data in zip(groups, read, strict=True)]
    count = max(index.covered(k) for index in indexes)
    results = []
    for vector in vectors:
        found = [
            _candidates(index.centroids, of_group, vector, count)
            for index, of_group in zip(indexes, matches, strict=True)
        ]
        results.append(rescore(objects, space, vector, k, best(indexes, found, count, k)))
    for part in groups:
        step = part.group.step
        if step is not None:
            step.method, step.recall = Method.COVERING, part.group.index.recall_target
            step.compared += len(vectors) * part.group.matching
    return results


def _matches(part: CoveredGroup, data: Bytes) -> Matches:
    assert part.group.mask is not None, "a covered group has a mask"
    return part.index.matches(data, part.located, part.group.mask)


def _candidates(centroids: Centroids, matches: Matches, vector: Vectors, count: int) -> Candidates:
    """The `count` rows that are nearest by their codes, nearest first."""
    projected = centroids.projection.query(vector)
    query = BinaryQuery.of(projected)
    to_lists = centroids.distances(projected)[lists.lists_of(centroids.starts, matches.rows)]
    keys: NDArray[np.float64] = np.empty(len(matches.rows), dtype=np.float64)
    for start in range(0, len(keys), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        found = two_bit_codes.estimates(query, matches.codes[chunk], to_lists[chunk])
        keys[chunk] = centroids.projection.comparable(found)
    nearest = lists.nearest_lists(keys, count)
    return Candidates(Places.of(matches.places[nearest]), keys[nearest])
