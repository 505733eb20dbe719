"""String columns: one UTF-8 string per row, or none, in a single data buffer that is searched in place.

Every row ends with the byte 0xFF, which occurs in no UTF-8 string: so no match in the buffer spans two rows. The buffer
may be a read-only view of a mapped file; a search never copies it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns import substring_scan
from afterglow.columns.arrays import GrowableArray
from afterglow.errors import Corrupt

VERSION = 1
_CHUNK_ROWS = 65_536
_FEW_ROWS = 200
Bounds = NDArray[np.uint64] | list[int]
"""Positions in the data, one for each of some rows."""


class StringColumn:
    """Row i is data[offsets[i]:offsets[i + 1] − 1]; immutable.

    data: uint8. offsets: uint64, rows + 1. validity: bool_ per row, None where every row has a string.
    """

    __slots__ = ("_bounds", "_view", "data", "offsets", "validity")

    def __init__(
        self, data: NDArray[np.uint8], offsets: NDArray[np.uint64], validity: NDArray[np.bool_] | None = None
    ) -> None:
        self.data = data
        self.offsets = offsets
        self.validity = validity
        self._view = data.data
        self._bounds = offsets.data

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @staticmethod
    def from_list(strings: Sequence[bytes | None]) -> "StringColumn":
        """A column of these strings (UTF-8; None: the row has none)."""
        return StringColumn(*pack_strings(strings))

    @staticmethod
    def from_arrays(header: dict[str, Any], arrays: Sequence[NDArray[Any]]) -> "StringColumn":
        """The strings of a header and its arrays, as views of them. Raises Corrupt where the two do not match."""
        if header.get("version") != VERSION:
            raise Corrupt(f"strings have format version {header.get('version')}; this release reads version {VERSION}")
        data, offsets = arrays[:2]
        validity = arrays[2].view(np.bool_) if len(arrays) > 2 else None
        rows = header["rows"]
        has_other_rows = len(offsets) != rows + 1 or (validity is not None and len(validity) != rows)
        if has_other_rows or int(offsets[-1]) != len(data):
            raise Corrupt("strings have another size than their header specifies")
        return StringColumn(data, offsets, validity)

    def is_valid(self) -> NDArray[np.bool_]:
        """Which rows have a string, bool_ per row."""
        return np.ones(len(self), dtype=np.bool_) if self.validity is None else self.validity

    def get(self, row: int) -> bytes | None:
        """The string of a row, None where it has none."""
        if self.validity is not None and not self.validity[row]:
            return None
        return bytes(self._view[self._bounds[row] : self._bounds[row + 1] - 1])

    def take(self, rows: NDArray[np.int64]) -> list[bytes | None]:
        """The strings of these rows, in that order."""
        return self.read(rows, *self.bounds(rows))

    def bounds(self, rows: NDArray[np.int64]) -> tuple[Bounds, Bounds]:
        """Where the strings of these rows start and stop, each with its terminating byte: their size before a copy.

        As Python's numbers for few rows, for which numpy takes longer.
        """
        if len(rows) <= _FEW_ROWS:
            offsets, numbers = self._bounds, rows.tolist()
            return [offsets[row] for row in numbers], [offsets[row + 1] for row in numbers]
        return self.offsets[rows], self.offsets[rows + 1]

    def read(self, rows: NDArray[np.int64], starts: Bounds, stops: Bounds) -> list[bytes | None]:
        """The strings of these rows, in that order, given their `bounds`."""
        view = self._view
        strings: list[bytes | None] = []
        for first in range(0, len(rows), _CHUNK_ROWS):  # the bounds as Python's numbers take more than a short string
            part = slice(first, first + _CHUNK_ROWS)
            bounds = zip(_numbers(starts[part]), _numbers(stops[part]), strict=True)
            strings += [bytes(view[start : stop - 1]) for start, stop in bounds]
        if self.validity is not None:
            for position in np.flatnonzero(~self.validity[rows]).tolist():
                strings[position] = None
        return strings

    def contains(self, needle: bytes, candidates: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Which of the candidate rows (bool_ per row; None: all) have a string that contains `needle` (UTF-8)."""
        if not needle:
            return self._candidates(candidates)
        return substring_scan.rows_containing(self._view, self.offsets.view(np.int64), needle, candidates)

    def matches(
        self, pattern: substring_scan.Pattern, candidates: NDArray[np.bool_] | None = None
    ) -> NDArray[np.bool_]:
        """Which of the candidate rows (bool_ per row; None: all) have a string in which `pattern` matches."""
        return substring_scan.rows_matching(
            self._view, self.offsets.view(np.int64), pattern, self._candidates(candidates)
        )

    def _candidates(self, candidates: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        if candidates is None:
            return self.is_valid().copy()
        return candidates.copy() if self.validity is None else candidates & self.validity


def _numbers(bounds: Bounds) -> list[int]:
    return bounds if isinstance(bounds, list) else bounds.tolist()


def pack_strings(
    strings: Sequence[bytes | None],
) -> tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.bool_] | None]:
    """The data, offsets (rows + 1) and validity (None: all rows) of a list of strings."""
    filled = [text or b"" for text in strings]
    offsets = np.zeros(len(filled) + 1, dtype=np.uint64)
    np.cumsum(np.fromiter(map(len, filled), dtype=np.uint64, count=len(filled)) + np.uint64(1), out=offsets[1:])
    data = substring_scan.TERMINATOR.join((*filled, b"")) if filled else b""
    validity = None
    if None in strings:
        validity = np.fromiter((text is not None for text in strings), dtype=np.bool_, count=len(filled))
    return np.frombuffer(data, dtype=np.uint8), offsets, validity


class StringColumnBuilder:
    """The strings of a row group that is still being written."""

    def __init__(self) -> None:
        self._data = GrowableArray(np.uint8, capacity=4096)
        self._offsets = GrowableArray(np.uint64, capacity=16)
        self._offsets.extend((0,))
        self._validity = GrowableArray(np.bool_, capacity=16)
        self._is_complete = True

    def __len__(self) -> int:
        return len(self._validity)

    def append(self, strings: Sequence[bytes | None]) -> None:
        """Add one row per string (UTF-8; None: the row has none), in amortised time linear in their bytes."""
        if not strings:
            return
        data, offsets, validity = pack_strings(strings)
        self._offsets.extend(offsets[1:] + np.uint64(len(self._data)))
        self._data.extend(data)
        self._validity.extend(np.ones(len(strings), dtype=np.bool_) if validity is None else validity)
        self._is_complete = self._is_complete and validity is None

    def snapshot(self) -> StringColumn:
        """All rows so far; later appends do not change it."""
        validity = None if self._is_complete else self._validity.snapshot()
        return StringColumn(self._data.snapshot(), self._offsets.snapshot(), validity)
