"""A set of byte intervals of a file: which bytes have arrived, which are verified.

Sorted, disjoint and not adjacent; all operations take arrays and cost O(n log m) to look up, O(n + m) to add.
"""

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]
_NONE: Offsets = np.empty(0, dtype=np.int64)


class Intervals:
    """Not thread-safe. An empty interval is contained everywhere."""

    def __init__(self) -> None:
        self._starts: Offsets = _NONE
        self._stops: Offsets = _NONE

    def contains(self, starts: Offsets, stops: Offsets) -> NDArray[np.bool_]:
        """Whether each interval `starts[i]` ≤ byte < `stops[i]` lies in the set: bool, shape (n,)."""
        before = np.searchsorted(self._starts, starts, side="right") - 1
        covered = stops <= starts
        if len(self._starts):
            covered = covered | ((before >= 0) & (self._stops[before] >= stops))
        return covered

    def add(self, starts: Offsets, stops: Offsets) -> None:
        """Add intervals; they may overlap each other and the set."""
        self._starts, self._stops = union(
            np.concatenate((self._starts, starts)), np.concatenate((self._stops, stops)), gap=0
        )

    def gaps(self, start: int, stop: int) -> tuple[Offsets, Offsets]:
        """The parts of `start` ≤ byte < `stop` outside of the set: starts and stops, ascending."""
        first = int(np.searchsorted(self._stops, start, side="right"))
        last = int(np.searchsorted(self._starts, stop, side="left"))
        starts = np.concatenate(([start], self._stops[first:last]))
        stops = np.concatenate((self._starts[first:last], [stop]))
        nonempty = stops > starts
        return starts[nonempty], stops[nonempty]

    def total(self) -> int:
        """The number of bytes in the set."""
        return int((self._stops - self._starts).sum())

    def clear(self) -> None:
        """Remove everything."""
        self._starts = self._stops = _NONE


def union(starts: Offsets, stops: Offsets, *, gap: int) -> tuple[Offsets, Offsets]:
    """The union of intervals, with those joined that are at most `gap` bytes apart: sorted starts and stops."""
    nonempty = stops > starts
    starts, stops = starts[nonempty], stops[nonempty]
    if not len(starts):
        return starts, stops
    order = np.argsort(starts, kind="stable")
    starts, stops = starts[order], np.maximum.accumulate(stops[order])
    begins = np.concatenate(([True], starts[1:] > stops[:-1] + gap))
    ends = np.concatenate((begins[1:], [True]))
    return starts[begins], stops[ends]
