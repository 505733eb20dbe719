"""Texts: one UTF-8 text per row, or none, in a single blob that is searched in place.

Every row ends in the byte 0xFF, which no UTF-8 text contains: so nothing found in the blob spans two rows. The blob may
be a read-only view of a mapped file; it is never copied to be searched.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns import substring_scan
from afterglow.columns.arrays import GrowableArray
from afterglow.errors import Corrupt

VERSION = 1


class StringColumn:
    """Row i is blob[offsets[i]:offsets[i + 1] − 1]; immutable.

    blob: uint8. offsets: uint64, rows + 1. present: bool_ per row, None where every row has a text.
    """

    __slots__ = ("_view", "data", "offsets", "validity")

    def __init__(
        self, blob: NDArray[np.uint8], offsets: NDArray[np.uint64], present: NDArray[np.bool_] | None = None
    ) -> None:
        self.data = blob
        self.offsets = offsets
        self.validity = present
        self._view = blob.data

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @staticmethod
    def from_list(texts: Sequence[bytes | None]) -> "StringColumn":
        """Texts of the given rows (UTF-8; None: the row has none)."""
        return StringColumn(*pack_strings(texts))

    @staticmethod
    def from_arrays(header: dict[str, Any], arrays: Sequence[NDArray[Any]]) -> "StringColumn":
        """The texts of a header and its arrays, as views of them; Corrupt where the two do not fit together."""
        if header.get("version") != VERSION:
            raise Corrupt(f"texts are of format version {header.get('version')}; this program reads {VERSION}")
        blob, offsets = arrays[:2]
        present = arrays[2].view(np.bool_) if len(arrays) > 2 else None
        rows = header["rows"]
        if len(offsets) != rows + 1 or int(offsets[-1]) != len(blob) or (present is not None and len(present) != rows):
            raise Corrupt("texts are of another size than their header says")
        return StringColumn(blob, offsets, present)

    def is_valid(self) -> NDArray[np.bool_]:
        """Which rows have a text, bool_ per row."""
        return np.ones(len(self), dtype=np.bool_) if self.validity is None else self.validity

    def get(self, row: int) -> bytes | None:
        """The text of a row, None where it has none."""
        if self.validity is not None and not self.validity[row]:
            return None
        return bytes(self._view[int(self.offsets[row]) : int(self.offsets[row + 1]) - 1])

    def take(self, rows: NDArray[np.int64]) -> list[bytes | None]:
        """The texts of these rows, in that order."""
        view = self._view
        bounds = zip(self.offsets[rows].tolist(), self.offsets[rows + 1].tolist(), strict=True)
        found: list[bytes | None] = [bytes(view[start : stop - 1]) for start, stop in bounds]
        if self.validity is not None:
            for place in np.flatnonzero(~self.validity[rows]).tolist():
                found[place] = None
        return found

    def contains(self, needle: bytes, candidates: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Which of the candidate rows (bool_ per row; None: all) have a text containing `needle` (UTF-8)."""
        if not needle:
            return self._candidates(candidates)
        return substring_scan.rows_containing(self._view, self.offsets.view(np.int64), needle, candidates)

    def matches(
        self, pattern: substring_scan.Pattern, candidates: NDArray[np.bool_] | None = None
    ) -> NDArray[np.bool_]:
        """Which of the candidate rows (bool_ per row; None: all) have a text in which `pattern` is found."""
        return substring_scan.rows_matching(
            self._view, self.offsets.view(np.int64), pattern, self._candidates(candidates)
        )

    def _candidates(self, candidates: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        if candidates is None:
            return self.is_valid().copy()
        return candidates.copy() if self.validity is None else candidates & self.validity


def pack_strings(
    texts: Sequence[bytes | None],
) -> tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.bool_] | None]:
    """The blob, offsets (rows + 1) and presence (None: all) of a list of texts."""
    filled = [text or b"" for text in texts]
    offsets = np.zeros(len(filled) + 1, dtype=np.uint64)
    np.cumsum(np.fromiter(map(len, filled), dtype=np.uint64, count=len(filled)) + np.uint64(1), out=offsets[1:])
    blob = substring_scan.TERMINATOR.join((*filled, b"")) if filled else b""
    present = None
    if None in texts:
        present = np.fromiter((text is not None for text in texts), dtype=np.bool_, count=len(filled))
    return np.frombuffer(blob, dtype=np.uint8), offsets, present


class StringColumnBuilder:
    """The texts of a part that is still being written."""

    def __init__(self) -> None:
        self._blob = GrowableArray(np.uint8, capacity=4096)
        self._offsets = GrowableArray(np.uint64, capacity=16)
        self._offsets.extend((0,))
        self._present = GrowableArray(np.bool_, capacity=16)
        self._is_complete = True

    def __len__(self) -> int:
        return len(self._present)

    def append(self, texts: Sequence[bytes | None]) -> None:
        """Add one row per text (UTF-8; None: the row has none), in amortised time of their bytes."""
        if not texts:
            return
        blob, offsets, present = pack_strings(texts)
        self._offsets.extend(offsets[1:] + np.uint64(len(self._blob)))
        self._blob.extend(blob)
        self._present.extend(np.ones(len(texts), dtype=np.bool_) if present is None else present)
        self._is_complete = self._is_complete and present is None

    def snapshot(self) -> StringColumn:
        """All rows so far; later appends do not disturb it."""
        present = None if self._is_complete else self._present.snapshot()
        return StringColumn(self._blob.snapshot(), self._offsets.snapshot(), present)
