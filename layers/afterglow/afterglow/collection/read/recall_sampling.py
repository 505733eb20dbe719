"""Samples the true recall of real queries: a share of them is answered a second time, by an exact search.

A sample is taken only where a query has searched an index, one at a time, in a thread of its own, and is skipped while
the thread is busy or rests: after a search of t seconds it rests for 9 t, so all samples take at most a tenth of a
core. A query only hands over its snapshot, its rows and what it has found.
"""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from afterglow.collection.read import knn_planner
from afterglow.collection.read.knn_planner import KnnQuery, Neighbors
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.errors import AfterglowError
from afterglow.segment.reader import Mask
from afterglow.settings.system import System

_log = logging.getLogger(__name__)

_REST = 9.0
_ROUNDING = 1e-5
"""Relative: distances of equal rows may differ by the rounding of another product."""


class RecallSampler:
    """Safe for any number of threads. `share` of the queries are sampled; 0: none."""

    def __init__(self, share: float, system: System) -> None:
        self._share, self._system = share, system
        self._lock = threading.Lock()
        self._is_busy = False
        self._rests_until = 0.0
        self._found = self._expected = 0
        self._executor = ThreadPoolExecutor(1, "recall") if share > 0 else None

    def offer(self, snapshot: Snapshot, masks: Sequence[Mask | None], query: KnnQuery, neighbors: Neighbors) -> None:
        """Perhaps search once more, later, for the nearest rows inside the masks."""
        if self._executor is None or self._system.random.random() >= self._share:
            return
        if all(group.graph is None and group.lists is None for group in snapshot.row_groups):
            return
        with self._lock:
            if self._is_busy or self._system.monotonic() < self._rests_until:
                return
            self._is_busy = True
        self._executor.submit(self._sample, snapshot, masks, query, neighbors)

    def take(self) -> tuple[int, int]:
        """The true neighbours that samples since the last call have found, and how many there were."""
        with self._lock:
            taken = self._found, self._expected
            self._found = self._expected = 0
        return taken

    def close(self) -> None:
        """Wait for a sample that is under way."""
        if self._executor is not None:
            self._executor.shutdown(wait=True)

    def _sample(self, snapshot: Snapshot, masks: Sequence[Mask | None], query: KnnQuery, neighbors: Neighbors) -> None:
        started = self._system.monotonic()
        found = expected = 0
        try:
            exact = knn_planner.knn_exact(snapshot, masks, query)
            expected = len(exact.distances)
            if expected:
                farthest = float(exact.distances[-1])
                limit = farthest + _ROUNDING * max(abs(farthest), 1.0)
                found = min(expected, int((neighbors.distances <= limit).sum()))
        except (AfterglowError, OSError):
            _log.exception("a sample of recall failed")
        finally:
            now = self._system.monotonic()
            with self._lock:
                self._found += found
                self._expected += expected
                self._rests_until = now + _REST * (now - started)
                self._is_busy = False
