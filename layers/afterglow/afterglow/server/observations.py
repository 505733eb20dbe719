"""Observations of histograms, added up before they go into Prometheus' own.

prometheus-client takes a few microseconds, five calls and two locks for each observation, and a query has ten of them.
Adding many at once needs attributes of its histogram that are not a public interface; a test lists them.
"""

from bisect import bisect_left

from prometheus_client import Histogram


class Observations:
    """What was observed of one child of a histogram since the last `flush`. The caller has a lock."""

    def __init__(self, child: Histogram) -> None:
        self._bounds, self._buckets, self._sum = child._upper_bounds, child._buckets, child._sum
        self._counts = [0] * len(self._bounds)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Add one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def flush(self) -> None:
        """Move the observations into the histogram."""
        for bucket, count in zip(self._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        if any(self._counts):
            self._sum.inc(self._total)
            self._counts, self._total = [0] * len(self._bounds), 0.0


class ObservationsByLabel(dict[str, Observations]):
    """The observations of a histogram with one label, by its value."""

    def __init__(self, histogram: Histogram) -> None:
        super().__init__()
        self._histogram = histogram

    def __missing__(self, label: str) -> Observations:
        observations = self[label] = Observations(self._histogram.labels(label))
        return observations

    def flush(self) -> None:
        """Move all of them into the histogram."""
        for observations in self.values():
            observations.flush()
