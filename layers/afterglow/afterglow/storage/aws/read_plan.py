"""Which byte spans to request for a set of missing intervals: one round of parallel requests.

Intervals that are close are read together, gap included. How close is chosen by an estimate of the round's time::

    bytes / 100 MB/s  +  12 ms · log2(requests)  +  0.3 ms · requests

The rate is what a container receives in all. A request takes 0.3 ms of CPU. The slowest of the parallel requests makes
the round, and with log-normal times to the first byte (median 25 ms, p99 120 ms) that of twice as many is about 12 ms
later. Bytes of gaps are kept: they may be needed later.

In a round at most 112 parts are read apart, of each file its share of them, as long as gaps are no wider than the
widest of these: the smallest are read, too. A request costs as much as 17 ms of a container, and S3 limits the rate of
requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from afterglow.storage.intervals import Offsets, union

GAPS = (0, 4_096, 16_384, 32_768, 65_536, 131_072)
"""The distances up to which intervals may be read together, in bytes."""
MOST_PARTS = 112
SPAN_BYTES = 1024 * 1024
"""A longer span is divided: one connection is slower than several."""
_BYTES_PER_SECOND = 100e6
_DOUBLING_SECONDS = 0.012
_REQUEST_SECONDS = 0.0003


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes `start` ≤ byte < `stop` of an object, to be read by one request."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def plan(files: Sequence[tuple[Offsets, Offsets]]) -> list[list[Span]]:
    """For each file the spans that cover its intervals, starts and stops, in ascending order."""
    cheapest = [_cheapest(starts, stops) for starts, stops in files]
    parts = sum(len(starts) for starts, _ in cheapest)
    if parts > MOST_PARTS:
        cheapest = [
            _join_nearest(starts, stops, max(MOST_PARTS * len(starts) // parts, 1)) for starts, stops in cheapest
        ]
    return [_divide(starts, stops) for starts, stops in cheapest]


def _cheapest(starts: Offsets, stops: Offsets) -> tuple[Offsets, Offsets]:
    """The intervals, joined over the gaps for which a round takes the least time."""
    best = union(starts, stops, gap=GAPS[0])
    best_cost = _seconds(*best)
    for gap in GAPS[1:]:
        joined = union(starts, stops, gap=gap)
        cost = _seconds(*joined)
        if cost < best_cost:
            best, best_cost = joined, cost
    return best


def _seconds(starts: Offsets, stops: Offsets) -> float:
    """The estimated time of a round that reads these intervals."""
    lengths = stops - starts
    requests = int((-(-lengths // SPAN_BYTES)).sum())
    slowest = _DOUBLING_SECONDS * float(np.log2(max(requests, 1)))
    return float(lengths.sum()) / _BYTES_PER_SECOND + slowest + _REQUEST_SECONDS * requests


def _join_nearest(starts: Offsets, stops: Offsets, most: int) -> tuple[Offsets, Offsets]:
    """Disjoint sorted intervals, of which those with the smallest gaps are joined until they are `most`."""
    excess = len(starts) - most
    if excess <= 0:
        return starts, stops
    gaps = starts[1:] - stops[:-1]
    joined = np.argsort(gaps, kind="stable")[:excess]
    joined = joined[gaps[joined] <= GAPS[-1]]
    return np.delete(starts, joined + 1), np.delete(stops, joined)


def _divide(starts: Offsets, stops: Offsets) -> list[Span]:
    spans = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        parts = max(1, -(-(stop - start) // SPAN_BYTES))
        edges = np.linspace(start, stop, parts + 1).astype(np.int64).tolist()
        spans += [Span(*edge) for edge in pairwise(edges)]
    return spans
