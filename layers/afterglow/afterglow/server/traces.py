"""Traces of requests for OpenTelemetry, sent by OTLP over HTTP.

A traced request is one span, and below it one for each of its phases, nested as they ran. A request with a
`traceparent` (W3C Trace Context) continues the trace of its caller and is traced if the caller's decision says so; of
the others a share is traced. A thread of the library sends spans in batches. No request waits for it: of what the
receiver does not take, at most 2,048 spans are kept, and the rest is dropped.

Spans hold what the access log holds: never vectors, documents, keys, or the values of a request.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from afterglow.errors import InvalidArgument
from afterglow.metering import Interval, Usage
from afterglow.settings import PREFIX, Settings, System
from afterglow.version import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Span

CLOSE_SECONDS = 3.0
"""The time for the last spans at the end of the process."""
_NAMED = ("collection", "rows", "queries")
_HEADERS = (b"traceparent", b"tracestate")


@dataclass(frozen=True, slots=True)
class Trace:
    """A request that is traced: its span, and the Unix nanoseconds at which `time.perf_counter` would be 0."""

    span: "Span"
    origin: int

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.span.get_span_context().trace_id:032x}"

    def at(self, seconds: float) -> int:
        """Unix nanoseconds of a value of `time.perf_counter`."""
        return self.origin + round(seconds * 1e9)


class Traces:
    """Where the spans of this process go."""

    def __init__(self, url: str, share: float, system: System) -> None:
        """`share` of the requests without a `traceparent` is traced. Raises ImportError without the extra `traces`."""
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": "afterglow", "service.version": __version__})
        # One that ends by itself would wait for the receiver for half a minute.
        provider = TracerProvider(ParentBased(TraceIdRatioBased(share)), resource, shutdown_on_exit=False)
        self._sender = BatchSpanProcessor(OTLPSpanExporter(endpoint=url))
        provider.add_span_processor(self._sender)
        self._tracer = provider.get_tracer("afterglow", __version__)
        self._read = TraceContextTextMapPropagator().extract
        self._api = trace
        self._system = system

    def begin(self, headers: Iterable[tuple[bytes, bytes]]) -> Trace | None:
        """The trace of a request that begins now, by its headers; None if it is not to be traced."""
        carrier = {name.decode(): value.decode("latin-1") for name, value in headers if name in _HEADERS}
        origin = round((self._system.now() - time.perf_counter()) * 1e9)
        trace = Trace(self._tracer.start_span("none", self._read(carrier), self._api.SpanKind.SERVER), origin)
        return trace if trace.span.is_recording() else None

    def end(self, trace: Trace, method: str, usage: Usage, status: int) -> None:
        """End the spans of a request that has its response."""
        span = trace.span
        span.update_name(str(usage.attributes.get("operation", method)))
        span.set_attributes({"http.request.method": method, "http.response.status_code": status})
        span.set_attributes(dict(_attributes(usage)))
        if status >= 500:
            span.set_status(self._api.StatusCode.ERROR)
        self._end_phases(trace, usage.intervals or ())
        span.end()

    def _end_phases(self, trace: Trace, intervals: Sequence[Interval]) -> None:
        """A span for each phase, below the innermost one around it."""
        around: list[tuple[Interval, Span]] = []
        for interval in sorted(intervals, key=lambda item: (item.started, -item.ended)):
            while around and around[-1][0].ended < interval.ended:
                around.pop()
            parent = self._api.set_span_in_context(around[-1][1] if around else trace.span)
            span = self._tracer.start_span(interval.phase, parent, start_time=trace.at(interval.started))
            span.end(trace.at(interval.ended))
            around.append((interval, span))

    def close(self) -> None:
        """Send what is left, for three seconds at most."""
        # By itself it would wait for a receiver that does not answer.
        closing = threading.Thread(target=self._sender.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


def _attributes(usage: Usage) -> Iterator[tuple[str, str | int | float | bool]]:
    for name in _NAMED:
        if name in usage.attributes:
            yield f"afterglow.{name}", usage.attributes[name]
    calls: Mapping[str, int] = usage.calls
    for name, number in calls.items():
        yield f"afterglow.calls.{name}", number


def open_traces(settings: Settings, system: System) -> Traces | None:
    """What the settings ask for. Raises InvalidArgument for a wrong address or share, or without the extra."""
    if not settings.traces_url:
        return None
    parts = urlsplit(settings.traces_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidArgument(
            f"{PREFIX}TRACES_URL must be an address like http://localhost:4318/v1/traces, got {settings.traces_url!r}"
        )
    if not 0 <= settings.traces_share <= 1:
        raise InvalidArgument(f"{PREFIX}TRACES_SHARE must be between 0 and 1, got {settings.traces_share}")
    try:
        return Traces(settings.traces_url, settings.traces_share, system)
    except ImportError as error:
        raise InvalidArgument(
            f"{PREFIX}TRACES_URL requires OpenTelemetry: pip install 'afterglow-db[traces]' ({error})"
        ) from error
