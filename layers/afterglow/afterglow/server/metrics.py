"""Metrics in Prometheus' text format, by prometheus-client.

Several worker processes share their figures through files in the directory that the environment names
(`PROMETHEUS_MULTIPROC_DIR`, which the supervisor sets); the worker that is asked adds them up. Labels are the names of
routes and phases and the numbers of statuses: never names of tenants, collections or records.

What requests add is summed up first: it is in the metrics once they are read or, of one of several processes, after
`FLUSH_SECONDS`.
"""

import threading
from collections import Counter as Counts
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from afterglow.metering import Usage
from afterglow.server.observations import ObservationsByLabel

_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_INDEX_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
_NO_ROUTE = "none"
FLUSH_SECONDS = 0.1


class Metrics:
    """The metrics of this process."""

    def __init__(self, *, is_shared: bool = False) -> None:
        """`is_shared`: other processes have metrics too, in the shared directory."""
        self.is_shared = is_shared
        self._open_collections: Callable[[], int] = lambda: 0
        self._take_recall: Callable[[], tuple[int, int]] = lambda: (0, 0)
        registry = self._registry = CollectorRegistry()
        if not is_shared:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
        self._requests = Counter(
            "afterglow_requests", "Requests by route and status.", ("operation", "status"), registry=registry
        )
        self._seconds = Histogram(
            "afterglow_request_seconds",
            "Time from a request's first byte to the last byte of its response, by route.",
            ("operation",),
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._phases = Histogram(
            "afterglow_phase_seconds",
            "Time of a phase of requests; `handle` includes the phases of the engine.",
            ("phase",),
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._lock = threading.Lock()
        self._new_requests, self._new_rows = Counts[tuple[str, int]](), Counts[str]()
        self._new_seconds, self._new_phases = ObservationsByLabel(self._seconds), ObservationsByLabel(self._phases)
        self._rows = Counter(
            "afterglow_rows", "Records written, deleted or returned, by route.", ("operation",), registry=registry
        )
        self._open = Gauge(
            "afterglow_open_collections", "Collections open in memory.", registry=registry, multiprocess_mode="livesum"
        )
        self._recall = Counter(
            "afterglow_recall_neighbors",
            "True neighbours of sampled queries, by whether the index found them.",
            ("outcome",),
            registry=registry,
        )
        self._index_runs = Counter(
            "afterglow_index_runs", "Runs of the indexer, by outcome.", ("outcome",), registry=registry
        )
        self._index_seconds = Histogram(
            "afterglow_index_seconds", "Time of a run of the indexer.", buckets=_INDEX_BUCKETS, registry=registry
        )
        self._silent_indexers = Gauge(
            "afterglow_silent_indexers",
            "Indexer processes that do not respond; each is replaced soon.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._flushed = Counter("afterglow_flushed_operations", "Operations flushed to segments.", registry=registry)
        self._compactions = Counter("afterglow_compactions", "Compactions of segments.", registry=registry)
        self._deleted = Counter("afterglow_deleted_objects", "Objects deleted as garbage.", registry=registry)

    def watch(self, open_collections: Callable[[], int], take_recall: Callable[[], tuple[int, int]]) -> None:
        """Read these with every `flush`: the open collections, and found and true neighbours since the last call."""
        self._open_collections, self._take_recall = open_collections, take_recall

    def record_request(self, usage: Usage, status: int, seconds: float) -> None:
        """Count one request."""
        operation = str(usage.attributes.get("operation", _NO_ROUTE))
        rows = usage.attributes.get("rows")
        with self._lock:
            self._new_requests[operation, status] += 1
            self._new_seconds[operation].observe(seconds)
            for phase, milliseconds in usage.phases.items():
                self._new_phases[phase].observe(milliseconds / 1000)
            if rows:
                self._new_rows[operation] += int(rows)

    def flush(self) -> None:
        """Move what was recorded into the metrics."""
        with self._lock:
            for (operation, status), count in self._new_requests.items():
                self._requests.labels(operation, str(status)).inc(count)
            for operation, count in self._new_rows.items():
                self._rows.labels(operation).inc(count)
            self._new_requests.clear()
            self._new_rows.clear()
            self._new_seconds.flush()
            self._new_phases.flush()
        self._open.set(self._open_collections())
        self.record_recall(*self._take_recall())

    def record_recall(self, found: int, expected: int) -> None:
        """Count the neighbours of sampled queries."""
        if expected:
            self._recall.labels("found").inc(found)
            self._recall.labels("missed").inc(expected - found)

    def record_index_run(self, seconds: float, report: Mapping[str, Any] | None) -> None:
        """Count one run of the indexer, by the fields of its `IndexReport`; None: it failed."""
        self._index_runs.labels("failed" if report is None else "done").inc()
        self._index_seconds.observe(seconds)
        if report is not None:
            self._flushed.inc(report["flushed_ops"])
            self._compactions.inc(report["compactions"])
            self._deleted.inc(report["collected"])

    def record_index_silence(self, is_silent: bool) -> None:
        """Count an indexer process that falls silent, or one that no longer is."""
        self._silent_indexers.inc(1 if is_silent else -1)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format; with several workers those of all of them."""
        self.flush()
        registry = self._registry
        if self.is_shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        content: bytes = generate_latest(registry)
        return content
