"""Rows of several parts as one sequence that is gone through a stretch at a time: no more than that is in memory.

What is held for the whole of it are numbers: where each row comes from (12 bytes), and how long its text is (8 bytes).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.string_column import VERSION, StringColumn

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GatherPlan:
    """Row i of the sequence is row `rows[i]` (int64) of part `parts[i]` (int32)."""

    sources: NDArray[np.int32]
    rows: Rows

    @staticmethod
    def of(chosen: Sequence[Rows], order: Rows) -> "GatherPlan":
        """The rows chosen of each part, one part after the other, permuted by `order`."""
        parts = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(rows) for rows in chosen])
        return GatherPlan(parts[order], np.concatenate(chosen)[order])

    def __len__(self) -> int:
        return len(self.rows)

    def chunk(self, start: int, stop: int) -> Iterator[tuple[int, Rows, Rows]]:
        """For each part that has rows in the stretch: its number, their places in the stretch, and the rows."""
        parts = self.sources[start:stop]
        for number in np.unique(parts).tolist():
            places = np.flatnonzero(parts == number)
            yield number, places, self.rows[start:stop][places]


class GatheredStrings:
    """The texts of picked rows; `offsets` and `present` are those of `Texts`, the blob comes in pieces."""

    def __init__(self, sources: Sequence[StringColumn], picks: GatherPlan) -> None:
        self._sources = sources
        self._picks = picks
        count = len(picks)
        offsets = np.zeros(count + 1, dtype=np.int64)
        present = np.ones(count, dtype=np.bool_)
        for number, places, rows in picks.chunk(0, count):
            source = sources[number]
            offsets[places + 1] = source.offsets.view(np.int64)[rows + 1] - source.offsets.view(np.int64)[rows]
            if source.validity is not None:
                present[places] = source.validity[rows]
        np.cumsum(offsets, out=offsets)
        self.offsets: NDArray[np.uint64] = offsets.view(np.uint64)
        self.present = None if present.all() else present

    def __len__(self) -> int:
        return len(self._picks)

    def header(self) -> dict[str, Any]:
        """What `Texts.from_arrays` needs to know besides the blob, the offsets, and, where there is one, presence."""
        return {"version": VERSION, "rows": len(self)}

    def chunks(self, most: int) -> Iterator[NDArray[np.uint8]]:
        """The blob, in pieces of at most so many bytes, or of one row where that is larger."""
        for start, stop in self._stretches(most):
            yield np.frombuffer(self._bytes(start, stop), dtype=np.uint8)

    def iter_rows(self, most: int) -> Iterator[bytes]:
        """The text of each row (empty where it has none), read as in `pieces`."""
        for start, stop in self._stretches(most):
            piece = self._bytes(start, stop)
            bounds = (self.offsets[start : stop + 1] - self.offsets[start]).tolist()
            for begin, end in pairwise(bounds):
                yield piece[begin : end - 1]

    def _stretches(self, most: int) -> Iterator[tuple[int, int]]:
        start, offsets = 0, self.offsets.view(np.int64)
        while start < len(self):
            fitting = int(np.searchsorted(offsets, offsets[start] + most, side="right")) - 1
            stop = max(fitting, start + 1)
            yield start, stop
            start = stop

    def _bytes(self, start: int, stop: int) -> bytes:
        """The texts of a stretch; rows that are neighbours where they come from are copied in one piece."""
        parts, rows = self._picks.sources[start:stop], self._picks.rows[start:stop]
        breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(parts) != 0)) + 1
        first, last = np.concatenate([[0], breaks]), np.concatenate([breaks - 1, [stop - start - 1]])
        begins, ends = np.empty(len(first), dtype=np.int64), np.empty(len(first), dtype=np.int64)
        for number in np.unique(parts).tolist():
            here = np.flatnonzero(parts[first] == number)
            offsets = self._sources[number].offsets
            begins[here], ends[here] = offsets[rows[first[here]]], offsets[rows[last[here]] + 1]
        views = [source.data.data for source in self._sources]
        runs = zip(parts[first].tolist(), begins.tolist(), ends.tolist(), strict=True)
        return b"".join([views[number][begin:end] for number, begin, end in runs])
