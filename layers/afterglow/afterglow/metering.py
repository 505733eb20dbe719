"""Metering: the AWS requests, billed units and phase times of one request or job.

`collect_usage()` starts a collector. The adapters record every request to a service with its billed units; other
packages record the times of their phases. The collector is in a context variable: code that passes work to another
thread runs it in a copy of the context (`contextvars.copy_context`), as `api.http.endpoint` and `storage.aws.transfer`
do.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

MAX_INTERVALS = 500
"""Phases of one request whose times are kept."""


@dataclass(frozen=True, slots=True)
class Interval:
    """When a phase ran, by `time.perf_counter`."""

    phase: str
    started: float
    ended: float


@dataclass(slots=True)
class Usage:
    """The usage so far. Thread-safe."""

    calls: dict[str, int] = field(default_factory=dict)
    """Number of requests by service and operation, for example `dynamodb.Query`, and of texts embedded by function."""
    read_units: float = 0.0
    """DynamoDB read request units: 4 KB each, strongly consistent."""
    write_units: float = 0.0
    """DynamoDB write request units: 1 KB each."""
    bytes_read: int = 0
    """Bytes received from S3."""
    bytes_written: int = 0
    """Bytes sent to S3."""
    phases: dict[str, float] = field(default_factory=dict)
    """Milliseconds by phase."""
    intervals: list[Interval] | None = None
    """When each phase ran, up to `MAX_INTERVALS`; None: nobody asks."""
    waited_seconds: float = 0.0
    """Seconds for which the request waited for something to happen, as its client asked it to."""
    attributes: dict[str, str | int | float | bool] = field(default_factory=dict)
    """Attributes of the request, such as its collection and number of rows."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def call(
        self, name: str, *, read_units: float = 0.0, write_units: float = 0.0, read: int = 0, written: int = 0
    ) -> None:
        """Record one request to a service with its billed units and transferred bytes."""
        with self._lock:
            self.calls[name] = self.calls.get(name, 0) + 1
            self.read_units += read_units
            self.write_units += write_units
            self.bytes_read += read
            self.bytes_written += written

    def add_bytes_read(self, size: int) -> None:
        """Record bytes received from S3 for a request that is recorded already."""
        with self._lock:
            self.bytes_read += size

    def count(self, name: str, number: int) -> None:
        """Add to a counter that is listed with the calls, such as embedded texts by function."""
        with self._lock:
            self.calls[name] = self.calls.get(name, 0) + number

    def add(self, other: "Usage") -> None:
        """Add the usage that another collector has recorded."""
        with self._lock:
            for name, number in other.calls.items():
                self.calls[name] = self.calls.get(name, 0) + number
            for name, milliseconds in other.phases.items():
                self.phases[name] = self.phases.get(name, 0.0) + milliseconds
            self.read_units += other.read_units
            self.write_units += other.write_units
            self.bytes_read += other.bytes_read
            self.bytes_written += other.bytes_written
            self.attributes |= other.attributes
            if self.intervals is not None and other.intervals is not None:
                self.intervals += other.intervals[: MAX_INTERVALS - len(self.intervals)]

    def add_phase(self, phase: str, started: float, ended: float) -> None:
        """Record when a phase ran, by `time.perf_counter`; times of the same phase are added up."""
        with self._lock:
            self.phases[phase] = self.phases.get(phase, 0.0) + (ended - started) * 1000
            if self.intervals is not None and len(self.intervals) < MAX_INTERVALS:
                self.intervals.append(Interval(phase, started, ended))


_CURRENT: ContextVar[Usage | None] = ContextVar("afterglow-usage", default=None)


def current_usage() -> Usage | None:
    """The collector of the current context, if any."""
    return _CURRENT.get()


class collect_usage:  # noqa: N801  used like a function, for every request
    """Collects the usage of the block; `with_intervals`: also when its phases ran."""

    __slots__ = ("_token", "_usage")

    def __init__(self, *, with_intervals: bool = False) -> None:
        self._usage = Usage(intervals=[] if with_intervals else None)

    def __enter__(self) -> Usage:
        self._token = _CURRENT.set(self._usage)
        return self._usage

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        _CURRENT.reset(self._token)


@contextmanager
def observe_usage() -> Iterator[Usage]:
    """Collect the usage of the block by itself; the collector outside, if any, gets it at the end."""
    outer = _CURRENT.get()
    with collect_usage(with_intervals=outer is not None and outer.intervals is not None) as usage:
        try:
            yield usage
        finally:
            if outer is not None:
                outer.add(usage)


class phase:  # noqa: N801  used like a function
    """Records the time that a block takes, if a collector is active: `with phase("search"):`.

    A query has ten of them, and a generator takes twice the time.
    """

    __slots__ = ("_name", "_started", "_usage")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._usage = _CURRENT.get()
        self._started = time.perf_counter()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._usage is not None:
            self._usage.add_phase(self._name, self._started, time.perf_counter())
