"""Rows of several row groups as one sequence, read a chunk at a time: memory holds no more than one chunk.

For the whole sequence only numbers are held: the source of each row (12 bytes), and the length of its string (8 bytes).
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
    """Row i of the sequence is row `rows[i]` (int64) of source `sources[i]` (int32)."""

    sources: NDArray[np.int32]
    rows: Rows

    @staticmethod
    def of(subsets: Sequence[Rows], order: Rows) -> "GatherPlan":
        """The rows of each source, one source after the other, permuted by `order`."""
        sources = np.repeat(np.arange(len(subsets), dtype=np.int32), [len(rows) for rows in subsets])
        return GatherPlan(sources[order], np.concatenate(subsets)[order])

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, order: Rows) -> "GatherPlan":
        """The plan of the same rows in another order."""
        return GatherPlan(self.sources[order], self.rows[order])

    def chunk(self, start: int, stop: int) -> Iterator[tuple[int, Rows, Rows]]:
        """For each source with rows in [start, stop): its number, their positions in the chunk, and its rows."""
        sources = self.sources[start:stop]
        for number in np.unique(sources).tolist():
            positions = np.flatnonzero(sources == number)
            yield number, positions, self.rows[start:stop][positions]


class GatheredStrings:
    """The strings of gathered rows; `offsets` and `validity` are those of a StringColumn, the data comes in chunks."""

    def __init__(self, sources: Sequence[StringColumn], plan: GatherPlan) -> None:
        self._sources = sources
        self._plan = plan
        count = len(plan)
        offsets = np.zeros(count + 1, dtype=np.int64)
        validity = np.ones(count, dtype=np.bool_)
        for number, positions, rows in plan.chunk(0, count):
            source = sources[number]
            offsets[positions + 1] = source.offsets.view(np.int64)[rows + 1] - source.offsets.view(np.int64)[rows]
            if source.validity is not None:
                validity[positions] = source.validity[rows]
        np.cumsum(offsets, out=offsets)
        self.offsets: NDArray[np.uint64] = offsets.view(np.uint64)
        self.validity = None if validity.all() else validity

    def __len__(self) -> int:
        return len(self._plan)

    def header(self) -> dict[str, Any]:
        """The header for `StringColumn.from_arrays`; its arrays are data, offsets and, if there is one, validity."""
        return {"version": VERSION, "rows": len(self)}

    def chunks(self, max_bytes: int) -> Iterator[NDArray[np.uint8]]:
        """The data in chunks of at most `max_bytes`, or of one row where that is larger."""
        for start, stop in self._chunk_bounds(max_bytes):
            yield np.frombuffer(self._read(start, stop), dtype=np.uint8)

    def iter_rows(self, max_bytes: int) -> Iterator[bytes]:
        """The string of each row (empty where it has none), read as in `chunks`."""
        for start, stop in self._chunk_bounds(max_bytes):
            chunk = self._read(start, stop)
            bounds = (self.offsets[start : stop + 1] - self.offsets[start]).tolist()
            for first, end in pairwise(bounds):
                yield chunk[first : end - 1]

    def _chunk_bounds(self, max_bytes: int) -> Iterator[tuple[int, int]]:
        start, offsets = 0, self.offsets.view(np.int64)
        while start < len(self):
            last_fitting = int(np.searchsorted(offsets, offsets[start] + max_bytes, side="right")) - 1
            stop = max(last_fitting, start + 1)
            yield start, stop
            start = stop

    def _read(self, start: int, stop: int) -> bytes:
        """The data of rows [start, stop); rows that are adjacent in their source are copied at once."""
        sources, rows = self._plan.sources[start:stop], self._plan.rows[start:stop]
        breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(sources) != 0)) + 1
        first, last = np.concatenate([[0], breaks]), np.concatenate([breaks - 1, [stop - start - 1]])
        starts, stops = np.empty(len(first), dtype=np.int64), np.empty(len(first), dtype=np.int64)
        for number in np.unique(sources).tolist():
            runs_of_source = np.flatnonzero(sources[first] == number)
            offsets = self._sources[number].offsets
            starts[runs_of_source] = offsets[rows[first[runs_of_source]]]
            stops[runs_of_source] = offsets[rows[last[runs_of_source]] + 1]
        views = [source.data.data for source in self._sources]
        runs = zip(sources[first].tolist(), starts.tolist(), stops.tolist(), strict=True)
        return b"".join([views[number][run_start:run_stop] for number, run_start, run_stop in runs])
