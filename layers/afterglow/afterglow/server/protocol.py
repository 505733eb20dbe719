"""HTTP/1.1 on one connection: uvicorn's protocol, with limits on what a client may send and how slowly.

What is refused, each answered in Chroma's error shape, after which the connection is closed:

====  =========================================================================
400   not HTTP
408   a request begun and not finished: headers in `client_timeout_seconds`, or a body that comes slower than `SLOWEST`
414   a request line over `max_request_line_bytes`
431   headers over `max_header_bytes` altogether
503   more than `connections` open
====  =========================================================================

A connection on which nothing was sent at all is closed without an answer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

SLOWEST = 1024
"""Bytes per second that a body must average over each `client_timeout_seconds`."""
LINGER_SECONDS = 2.0
"""How long a refused client may go on sending, so that it reads the answer instead of a connection reset."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection, and all of them together, may take."""

    request_line_bytes: int
    header_bytes: int
    client_seconds: float
    connections: int


class Reading(Enum):
    """Which part of a request the parser is in."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class _Refused(Exception):
    """Stops the parser; the answer is in `LimitedProtocol._refusal`."""


def refusal(status: int, message: str, trace_id: str) -> bytes:
    """A whole HTTP answer in Chroma's error shape that closes the connection."""
    name = "InvalidArgumentError" if status == HTTPStatus.BAD_REQUEST else "ChromaError"
    body = orjson.dumps({"error": name, "message": message})
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        f"chroma-trace-id: {trace_id}\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


class LimitedProtocol(HttpToolsProtocol):
    """One connection. `on_closed` is called once when it has ended."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
        new_trace_id: Callable[[], str],
        on_closed: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._new_trace_id = new_trace_id
        self._on_closed = on_closed
        self._reading = Reading.NOTHING
        self._refused = False
        self._refusal: tuple[int, str] | None = None
        self._header_bytes = 0
        self._head_bytes = 0
        self._window_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Counts the connection, and refuses it if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > 2 * self._limits.connections:
            # Too many even to be told so.
            self._refused = True
            transport.abort()
        elif len(self.connections) > self._limits.connections:
            self._refuse(503, f"too many connections: this process serves {self._limits.connections} at a time")
        else:
            self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._clear_deadline()
        super().connection_lost(exc)
        if self._on_closed is not None:
            self._on_closed()

    def data_received(self, data: bytes) -> None:
        """Parses what came, and watches what is still owed."""
        if self._refused:
            return
        head_goes_on = self._reading is Reading.HEAD
        self._window_bytes += len(data)
        super().data_received(data)
        self._watch(len(data) if head_goes_on else 0)

    def _watch(self, head_bytes: int) -> None:
        """Sets a deadline for what the client owes. `head_bytes`: what came in addition to a head already begun."""
        if self._refused or self.transport.is_closing():
            return
        if self._reading is Reading.HEAD and head_bytes:
            # A header that never ends reaches no callback; its bytes are counted here.
            self._head_bytes += head_bytes
            if self._head_bytes > self._limits.header_bytes + self._limits.request_line_bytes:
                self._refuse(431, self._headers_too_large())
                return
        if self._reading is not Reading.NOTHING or not self._answering():
            self._set_deadline()

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        self._clear_deadline()
        self._reading = Reading.HEAD
        self._header_bytes = 0
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        super().on_url(url)
        if len(self.url) > self._limits.request_line_bytes:
            self._stop(414, f"request line too long: the limit is {self._limits.request_line_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header."""
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > self._limits.header_bytes:
            self._stop(431, self._headers_too_large())
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The app starts here; the body may still be on its way."""
        self._clear_deadline()
        self._reading = Reading.BODY
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Nothing more is owed."""
        self._clear_deadline()
        self._reading = Reading.NOTHING
        super().on_message_complete()

    def _answering(self) -> bool:
        """Whether the app is at work on the last request whose headers came."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    # Refusing

    def send_400_response(self, msg: str) -> None:
        """Answers a parse error, or what `_stop` was called for."""
        status, message = self._refusal or (400, msg.rstrip(".").lower())
        self._refuse(status, message)

    def _headers_too_large(self) -> str:
        return f"request headers too large: the limit is {self._limits.header_bytes} bytes altogether"

    def _stop(self, status: int, message: str) -> None:
        self._refusal = (status, message)
        raise _Refused

    def _refuse(self, status: int, message: str) -> None:
        self._refused = True
        self._clear_deadline()
        running = self._answering()
        if running and not self.cycle.more_body:
            # The bad bytes follow a good request: that one is answered, and the connection closed after it.
            self.cycle.keep_alive = False
            self.pipeline.clear()
            return
        if running:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.close()
                return
        self.transport.write(refusal(status, message, self._new_trace_id()))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    # Slowness

    def _set_deadline(self) -> None:
        if self._deadline is None:
            self._window_bytes = 0
            self._deadline = self.loop.call_later(self._limits.client_seconds, self._deadline_passed)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _deadline_passed(self) -> None:
        self._deadline = None
        seconds = self._limits.client_seconds
        if self.transport.is_closing():
            return
        if self._reading is Reading.NOTHING:
            self.transport.close()
        elif self._reading is Reading.HEAD:
            self._refuse(408, f"request headers did not arrive within {seconds:g} s")
        elif self.flow.read_paused or self._window_bytes >= SLOWEST * seconds:
            # The app is not asking for more, or the client keeps up.
            self._set_deadline()
        elif self.cycle.response_complete:
            self.transport.close()
        else:
            self._refuse(408, f"request body stalled: less than {SLOWEST} bytes/s for {seconds:g} s")
