"""Metrics in Prometheus' text format, by prometheus-client.

Several worker processes share their figures through files in the directory that the environment names
(`PROMETHEUS_MULTIPROC_DIR`, which the supervisor sets); the worker that is asked adds them up. Labels are the names of
routes and phases and the numbers of statuses: never names of tenants, collections or records.
"""

from collections.abc import Mapping
from functools import cache
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

_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_INDEX_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
_NO_ROUTE = "none"


class Metrics:
    """The metrics of this process."""

    def __init__(self, *, is_shared: bool = False) -> None:
        """`is_shared`: other processes have metrics too, in the shared directory."""
        self._is_shared = is_shared
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
        # A look-up of labels takes longer than the count itself, and a query has ten of them.
        self._requests_of = cache(self._requests.labels)
        self._seconds_of = cache(self._seconds.labels)
        self._phase = cache(self._phases.labels)
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

    def record_request(self, usage: Usage, status: int, seconds: float, open_collections: int) -> None:
        """Count one request."""
        operation = str(usage.attributes.get("operation", _NO_ROUTE))
        self._requests_of(operation, str(status)).inc()
        self._seconds_of(operation).observe(seconds)
        for phase, milliseconds in usage.phases.items():
            self._phase(phase).observe(milliseconds / 1000)
        rows = usage.attributes.get("rows")
        if rows:
            self._rows.labels(operation).inc(float(rows))
        self._open.set(open_collections)

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
        registry = self._registry
        if self._is_shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        content: bytes = generate_latest(registry)
        return content
