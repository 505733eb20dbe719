"""The covering index of a clustered segment: the rows in the order of a metadata key's values, with codes and places.

A filter of a key leaves rows that are one or two in each list, so a search under it would read nearly all lists. In the
order of the values they lie next to each other. For some keys (`segment.covering_writer`) the file `covering` has an
entry for each row with a value of a type, ascending by value, equal ones by row:

    "0", "1", …   u1 (n, 40 + 8 + w / 4, padded): the place of the row (`segment.places`) · its code
                  (`segment.two_bit_codes`)
    meta          for each array the key and the type; how many rows by the codes hold the k nearest (`depth`)

Where the matching rows are, follows from the column, which a filter has read: from the number of smaller values to that
of values that are not larger (`locate`). Nothing else is needed to search: the best by their codes are compared
exactly, and the entry leads to vector and record.

The file is read by blocks and is optional: a segment without it, or a key that has no array, is searched in its lists.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import Column, ColumnType
from afterglow.errors import Corrupt
from afterglow.segment import two_bit_codes
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.segment.binary_codes import Entries
from afterglow.segment.block_file import BlockFile, Slices
from afterglow.segment.breadth import Breadth
from afterglow.segment.places import PLACE
from afterglow.segment.rounds import Request
from afterglow.storage.ports import Bytes

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

COVERING = "covering"
VERSION = 1
_MAX_RANGES = 16
"""Different values of matching rows that are located one by one if all between the first and the last are too many."""


def entry_bytes(width: int) -> int:
    """The size of an entry."""
    return PLACE.itemsize + two_bit_codes.entry_bytes(width)


@dataclass(frozen=True, slots=True)
class Located:
    """Entries `starts[i]` … `stops[i]` − 1 of an array of the file, int64 (m,) each, ascending; nowhere adjacent."""

    array: str
    starts: Rows
    stops: Rows


@dataclass(frozen=True, slots=True)
class Matches:
    """Rows inside a mask: their places and their codes, u1 (m, two_bit_codes.entry_bytes)."""

    places: "NDArray[np.void]"
    rows: Rows
    codes: Entries


class CoveringIndex:
    """The file of an open segment. Safe for any number of threads."""

    def __init__(self, file: BlockFile, arrays: Mapping[tuple[str, ColumnType], str], depth: Breadth) -> None:
        """`arrays`: the name of the array of each key and type."""
        self.depth = depth
        self._file = file
        self._arrays = arrays

    @staticmethod
    def of(file: BlockFile) -> "CoveringIndex | None":
        """The index; None for one of a newer release. Raises KeyError, TypeError, ValueError where it is damaged."""
        meta = file.layout.meta
        if meta["version"] != VERSION:
            return None
        names = {(str(key), ColumnType(kind)): str(number) for number, (key, kind) in enumerate(meta["columns"])}
        sizes = {file.layout.span(name)[2] for name in names.values()}
        if not sizes <= {entry_bytes(int(meta["width"]))}:
            raise ValueError("a covering index has entries of another width")
        return CoveringIndex(file, names, Breadth.from_json(meta["depth"]))

    def locate(self, key: str, columns: Iterable[Column], mask: Mask, most: float) -> Located | None:
        """Entries that include those of all rows inside the mask, by the columns of one key; at most so many, or None.

        `mask` has one element per row of the segment, at least one of which is set.
        """
        for column in columns:
            name = self._arrays.get((key, column.type))
            ranges = None if name is None else _ranges(column, mask, most)
            if name is not None and ranges is not None:
                return Located(name, *np.array(ranges, dtype=np.int64).T)
        return None

    def request(self, located: Located) -> Request:
        """The bytes of located entries."""
        return self._file.request([Slices(located.array, located.starts, located.stops)])

    def matches(self, data: Bytes, located: Located, mask: Mask) -> Matches:
        """Those of the entries in the answer to the request whose rows are inside the mask.

        Raises Corrupt if they are others than the mask has.
        """
        array = self._file.array(data, located.array)
        ranges = zip(located.starts.tolist(), located.stops.tolist(), strict=True)
        parts = [array[start:stop] for start, stop in ranges]
        entries = parts[0] if len(parts) == 1 else np.concatenate(parts)
        places = entries[:, : PLACE.itemsize].view(PLACE)[:, 0]
        rows = places["row"].astype(np.int64)
        inside = np.flatnonzero(mask[np.minimum(rows, len(mask) - 1)])
        if len(inside) != np.count_nonzero(mask) or rows.max() >= len(mask):
            raise Corrupt(f"the covering index in {self._file.key} is of other rows than its columns; {RESTORE_HINT}")
        codes = entries[:, PLACE.itemsize :]
        if len(inside) < len(entries):
            places, rows, codes = places[inside], rows[inside], np.take(codes, inside, axis=0)
        return Matches(places, rows, codes)


def _ranges(column: Column, mask: Mask, most: float) -> list[tuple[int, int]] | None:
    """The positions in the order of the values that hold all rows inside the mask; None if more than `most`."""
    values: NDArray[Any] = column.values
    if column.row_ids is None:
        found = values[np.flatnonzero(mask)]
    else:
        found = values[np.flatnonzero(mask[column.row_ids])]
        if len(found) < np.count_nonzero(mask):
            return None
    low, high = found.min(), found.max()
    whole = _range(values, low, high)
    if whole[1] - whole[0] <= most:
        return [whole] if whole[0] < whole[1] else None
    different = np.unique(found)
    if len(different) > _MAX_RANGES:
        return None
    ranges = [_range(values, value, value) for value in different]
    return ranges if sum(stop - start for start, stop in ranges) <= most else None


def _range(values: NDArray[Any], low: Any, high: Any) -> tuple[int, int]:
    """The positions of the values from `low` to `high`; none if one of them is no number."""
    start = int(np.count_nonzero(values < low))
    if low == high:
        return start, start + int(np.count_nonzero(values == low))
    return start, max(int(np.count_nonzero(values <= high)), start)
