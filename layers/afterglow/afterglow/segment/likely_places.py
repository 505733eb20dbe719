"""Where the places of ids, or of a page, are likely to be, while the file `contents` has not been read.

Their bytes are read in the same round as `contents`, which saves one: `segment.row_reader` verifies what has arrived,
and reads what is missing. A wrong guess costs bytes, never a wrong answer.

* **By id** the entries are in the order of hashes, which are evenly spread: of n entries, a share p of which comes
  before an id, its position is p · n with a standard deviation of √(p (1 − p) n).
* **In insertion order** segments follow one another after a bulk load, and rows have their rank as position.
"""

from collections.abc import Sequence

import numpy as np

from afterglow.segment import array_file, places
from afterglow.segment.contents import BLOCK_BYTES, PLACES
from afterglow.segment.places import ENTRY, PLACE, SAMPLE_STEP, Rows
from afterglow.segment.rounds import Request
from afterglow.storage.ports import LazyFile, Ranges

MAX_BYTES = 1536 * 1024
"""More is not read on a guess, of all segments together."""
_DEVIATIONS = 2.5
"""99 of 100 ids are not farther from where they are likely to be."""


def of_ids(files: Sequence[LazyFile], rows: Sequence[int], ids: Sequence[str]) -> list[Request]:
    """The entries by id around these ids, in the files `places` of segments of so many rows; none if that is much."""
    if len(ids) * len(files) * 2 * SAMPLE_STEP * ENTRY.itemsize > MAX_BYTES:
        return []
    shares = places.fingerprints(name.encode() for name in ids)[:, 0] / 2.0**64
    requests = []
    for file, count in zip(files, rows, strict=True):
        around = _DEVIATIONS * np.sqrt(shares * (1 - shares) * count) + SAMPLE_STEP
        starts = np.maximum(shares * count - around, 0).astype(np.int64)
        stops = np.minimum(shares * count + around, count).astype(np.int64)
        order_start = _order_start(file, count)
        first = order_start - array_file.padded(count * ENTRY.itemsize)
        requests.append(_blocks(file, first + starts * ENTRY.itemsize, first + stops * ENTRY.itemsize))
    return requests if sum(int(ranges.lengths.sum()) for _, ranges in requests) <= MAX_BYTES else []


def of_positions(file: LazyFile, rows: int, start: int, stop: int) -> list[Request]:
    """The places from position `start` to before `stop` in insertion order, of so many rows; none if that is much."""
    if (stop - start) * PLACE.itemsize > MAX_BYTES:
        return []
    start, stop = start // SAMPLE_STEP * SAMPLE_STEP, min(-(-stop // SAMPLE_STEP) * SAMPLE_STEP, rows)
    first = _order_start(file, rows)
    return [_blocks(file, np.array([first + start * PLACE.itemsize]), np.array([first + stop * PLACE.itemsize]))]


def _order_start(file: LazyFile, rows: int) -> int:
    """Where the places in insertion order begin: they are the last array of the file."""
    return array_file.single_array_start(file.size, rows * PLACE.itemsize)


def _blocks(file: LazyFile, starts: Rows, stops: Rows) -> Request:
    """The blocks that cover these bytes, to be verified later."""
    size = BLOCK_BYTES[PLACES]
    offsets = np.clip(starts // size * size, 0, file.size)
    ends = np.clip(-(-stops // size) * size, offsets, file.size)
    return file, Ranges(offsets, ends - offsets)
