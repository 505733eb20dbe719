"""Observes requests: their metrics, their traces, and a line in the log for each, or for slow ones only.

A line names the route, the status, the times of the phases and the caller's role. It never holds vectors, documents,
keys, or the values of a request.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterglow.errors import InvalidArgument
from afterglow.metering import Usage, collect_usage
from afterglow.server.metrics import FLUSH_SECONDS, Metrics
from afterglow.server.traces import Trace, Traces
from afterglow.settings import Settings

_access = logging.getLogger("afterglow.access")
_LEVELS = ("off", "slow", "all")
_NO_STATUS = 499
"""The status of a request whose client disconnected before its response began; nginx's number for it."""


class Observer:
    """The outermost ASGI middleware. Raises InvalidArgument for an unknown value of `access_log`."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        settings: Settings,
        open_collections: Callable[[], int],
        take_recall: Callable[[], tuple[int, int]],
        *,
        traces: Traces | None,
    ) -> None:
        if settings.access_log not in _LEVELS:
            raise InvalidArgument(f"AFTERGLOW_ACCESS_LOG must be off, slow or all, got {settings.access_log!r}")
        self._app = app
        self._metrics = metrics
        self._flush_later: asyncio.TimerHandle | None = None
        metrics.watch(open_collections, take_recall)
        self._traces = traces
        self._logged_seconds = {"off": float("inf"), "slow": settings.slow_request_seconds, "all": 0.0}[
            settings.access_log
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and observe it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = _NO_STATUS

        async def noted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        trace = None if self._traces is None else self._traces.begin(scope["headers"])
        with collect_usage(with_intervals=trace is not None) as usage:
            try:
                await self._app(scope, receive, noted_send)
            finally:
                seconds = time.perf_counter() - started - usage.waited_seconds
                self._metrics.record_request(usage, status, seconds)
                if self._metrics.is_shared and self._flush_later is None:
                    self._flush_later = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)
                if seconds >= self._logged_seconds:
                    _access.info(_line(scope["method"], usage, status, seconds, trace))
                if self._traces is not None and trace is not None:
                    self._traces.end(trace, scope["method"], usage, status)

    def _flush(self) -> None:
        """Show the other processes what was recorded."""
        self._flush_later = None
        self._metrics.flush()


def _line(method: str, usage: Usage, status: int, seconds: float, trace: Trace | None) -> str:
    attributes = usage.attributes
    parts = [method, str(attributes.get("operation", "-")), str(status), f"{seconds * 1000:.1f} ms"]
    parts += [f"{name}={attributes[name]}" for name in ("collection", "rows", "queries") if name in attributes]
    if usage.phases:
        parts.append(" ".join(f"{name}={milliseconds:.1f}" for name, milliseconds in usage.phases.items()))
    if trace is not None:
        parts.append(f"trace={trace.trace_id}")
    return " ".join(parts)
