"""The shortlist of a search that probes many lists: those of them that hold one of the best rows by binary codes.

Filters, and large k, need many lists: at a million rows a filter of 1 % needs a third of them, nearly half a gigabyte,
for rows that are one or two in each. Their binary codes (`segment.binary_codes`) are an eighth of that. So:

1. Read the binary codes of the chosen lists' rows, of all segments in one round, and estimate the distances of the rows
   inside the masks.
2. Of all segments together keep so many of the best as hold the k nearest for the promised recall. It was measured when
   the segment was built.
3. Go on with the lists of these.

It is one round more, so it is done only where it saves enough bytes. A segment without binary codes, of an earlier
release, keeps its lists.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import binary_codes
from afterglow.segment.binary_codes import BinaryQuery
from afterglow.segment.distance import Vectors
from afterglow.segment.list_index import ListIndex, read_roots
from afterglow.segment.lists import bound_of_best, lists_of
from afterglow.segment.reader import Mask
from afterglow.storage.ports import Bytes, Objects

Rows = NDArray[np.int64]

_WORTH_BYTES = 4 * 1024 * 1024
"""What a container brings in during one round of requests without any bytes."""
_CHUNK_ROWS = 65_536
_FEW = 8
"""If less than one row in so many is inside the mask, the list of each such row is looked up."""


@dataclass(frozen=True, slots=True)
class Probed:
    """The lists `numbers` of an index that a search has chosen, for a query (w,) in the projected space.

    `distances` (l,): of the query to all centroids. `mask`: of the rows, None: all.
    """

    index: ListIndex
    mask: Mask | None
    query: Vectors
    distances: Vectors
    numbers: Rows


@dataclass(frozen=True, slots=True)
class Shortlist:
    """For each index the lists to read, and how many distances were estimated to choose them."""

    numbers: list[Rows]
    estimated: list[int]


def shorten(objects: Objects, probed: Sequence[Probed], k: int) -> Shortlist:
    """The lists that hold the best rows for the `k` nearest of all indexes; all lists where that saves too little.

    Raises Corrupt, UnsupportedFormat, ObjectNotFound, Unavailable.
    """
    numbers, estimated = [part.numbers for part in probed], [0] * len(probed)
    counts = [part.index.shortlisted(k) if len(part.numbers) else None for part in probed]
    positions = [position for position, count in enumerate(counts) if count is not None]
    coded = [probed[position] for position in positions]
    count = max((count for count in counts if count is not None), default=0)
    if not coded or _saved_bytes(coded, count) < _WORTH_BYTES:
        return Shortlist(numbers, estimated)
    read_roots([part.index for part in coded], search=False, rows=True)
    read = objects.need([part.index.binary_codes_request(part.numbers) for part in coded])
    found = [_estimate(part, data) for part, data in zip(coded, read, strict=True)]
    last = bound_of_best([keys for _, keys in found], count)
    for position, (lists_of_rows, keys) in zip(positions, found, strict=True):
        is_short = _marked(probed[position], lists_of_rows[keys <= last])
        numbers[position] = numbers[position][is_short[numbers[position]]]
        estimated[position] = len(keys)
    return Shortlist(numbers, estimated)


def _saved_bytes(probed: Sequence[Probed], count: int) -> float:
    """The bytes of the lists, without the binary codes of their rows and the lists of a shortlist of `count` rows."""
    entries = codes = chosen = 0
    for part in probed:
        centroids = part.index.centroids
        rows = int((centroids.starts[part.numbers + 1] - centroids.starts[part.numbers]).sum())
        entries += int(part.index.list_request(part.numbers)[1].lengths.sum())
        codes += binary_codes.entry_bytes(centroids.projection.width) * rows
        chosen += len(part.numbers)
    return entries * (1 - min(count / chosen, 1.0)) - codes


def _marked(part: Probed, numbers: Rows) -> Mask:
    """The mask of these lists among all lists of the index."""
    result: Mask = np.zeros(len(part.distances), dtype=np.bool_)
    result[numbers] = True
    return result


def _rows_inside(part: Probed) -> tuple[Rows, Rows]:
    """The rows of the chosen lists inside the mask, and the list of each."""
    starts, mask = part.index.centroids.starts, part.mask
    count = int((starts[part.numbers + 1] - starts[part.numbers]).sum())
    if mask is not None and _FEW * np.count_nonzero(mask) < count:
        rows = np.flatnonzero(mask)
        numbers = lists_of(starts, rows)
        is_inside = _marked(part, part.numbers)[numbers]
        return rows[is_inside], numbers[is_inside]
    rows, lengths = part.index.centroids.rows_of(part.numbers)
    numbers = np.repeat(part.numbers, lengths)
    if mask is None:
        return rows, numbers
    inside = np.flatnonzero(mask[rows])
    return rows[inside], numbers[inside]


def _estimate(part: Probed, data: Bytes) -> tuple[Rows, NDArray[np.float64]]:
    """The list and the estimated distance of each row inside the mask; distances compare across segments."""
    centroids, entries = part.index.centroids, part.index.binary_codes(data)
    query = BinaryQuery.of(part.query)
    rows, numbers = _rows_inside(part)
    keys = np.empty(len(rows), dtype=np.float64)
    for start in range(0, len(rows), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        found = binary_codes.estimates(query, np.take(entries, rows[chunk], axis=0), part.distances[numbers[chunk]])
        keys[chunk] = centroids.projection.comparable(found)
    return numbers, keys
