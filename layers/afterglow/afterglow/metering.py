"""Collecting what one request or job used.

`measuring()` begins; the adapters note each call they make with the units it is billed by, and the rooms above note
how long their steps took. The collector travels in a context variable: whoever hands work to another thread runs it in
a copy of the context (`contextvars.copy_context`), as `api.http.endpoint` and `storage.aws.objects` do.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Usage:
    """What was used so far. Safe for any number of threads."""

    calls: dict[str, int] = field(default_factory=dict)
    """Requests by service and operation, as in `dynamodb.Query`."""
    read_units: float = 0.0
    """DynamoDB read request units: 4 KB each, strongly consistent."""
    write_units: float = 0.0
    """DynamoDB write request units: 1 KB each."""
    bytes_read: int = 0
    """Bytes that S3 sent."""
    bytes_written: int = 0
    """Bytes that S3 was sent."""
    phases: dict[str, float] = field(default_factory=dict)
    """Milliseconds by step."""
    attributes: dict[str, str | int | float | bool] = field(default_factory=dict)
    """What the request was about: its collection, how many rows."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def call(
        self, name: str, *, read_units: float = 0.0, write_units: float = 0.0, read: int = 0, written: int = 0
    ) -> None:
        """Note one request to a service, with what it is billed by and the bytes it moved."""
        with self._lock:
            self.calls[name] = self.calls.get(name, 0) + 1
            self.read_units += read_units
            self.write_units += write_units
            self.bytes_read += read
            self.bytes_written += written

    def add_phase_time(self, phase: str, milliseconds: float) -> None:
        """Note the time of a step; steps of one name are added up."""
        with self._lock:
            self.phases[phase] = self.phases.get(phase, 0.0) + milliseconds


_CURRENT: ContextVar[Usage | None] = ContextVar("afterglow-usage", default=None)


def current_usage() -> Usage | None:
    """What collects here and now, if anything does."""
    return _CURRENT.get()


@contextmanager
def collect_usage() -> Iterator[Usage]:
    """Collect what the block uses."""
    usage = Usage()
    token = _CURRENT.set(usage)
    try:
        yield usage
    finally:
        _CURRENT.reset(token)


def phase(name: str) -> AbstractContextManager[None]:
    """Note how long the block takes, where something collects."""
    usage = _CURRENT.get()
    return _UNTIMED if usage is None else _timed(usage, name)


_UNTIMED = nullcontext()


@contextmanager
def _timed(usage: Usage, name: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        usage.add_phase_time(name, (time.perf_counter() - began) * 1000)
