"""HTTP/1.1 on one connection: uvicorn's protocol, with limits on requests (`server.refusals`).

No public option of uvicorn provides these limits: `h11_max_incomplete_event_size` applies to the slower h11 parser
alone, `limit_concurrency` refuses requests in plain text but no connections, and `timeout_keep_alive` applies only
after a response. So this module extends uvicorn's protocol class, whose attributes are not a public interface:
pyproject.toml limits the minor version of uvicorn, and a test lists every attribute in use.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from afterglow.api.http.body import ARRIVED
from afterglow.api.http.delivery import ABORT
from afterglow.api.http.feed import STOPPING
from afterglow.server.connection_limit import NEW_CONNECTION_SECONDS, longest_idle
from afterglow.server.joined_writes import JoinedWrites
from afterglow.server.open_files import MAX_REFUSED
from afterglow.server.refusals import LINGER_SECONDS, Limits, refusal
from afterglow.server.request_parser import RequestParser, with_path
from afterglow.server.response_progress import MIN_BYTES_PER_SECOND, ResponseProgress


class Reading(Enum):
    """The part of a request that the parser expects."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class _Refused(Exception):
    """Stops the parser; `LimitedProtocol._refusal` holds the response."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection. `on_closed` is called once, at its end."""

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
        self.parser = RequestParser(self)  # type: ignore[assignment]
        self._limits = limits
        self._new_trace_id = new_trace_id
        self._on_closed = on_closed
        self._reading = Reading.NOTHING
        self._cycles: deque[RequestResponseCycle] = deque()
        self._refused = False
        self._refusal: tuple[int, str] | None = None
        self._header_bytes = 0
        self._head_bytes = 0
        self._window_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._progress: ResponseProgress
        self._is_stopping = False
        self.idle_since = 0.0

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection; if too many are open, close one that is idle, or refuse this one."""
        super().connection_made(transport)
        self._progress = ResponseProgress(transport, self.loop, self._limits.client_seconds)
        self.idle_since = self.loop.time() + NEW_CONNECTION_SECONDS
        if len(self.connections) > self._limits.connections + min(self._limits.connections, MAX_REFUSED):
            # Far over the limit, with refused connections: close without a response.
            self._refused = True
            transport.abort()
        elif len(self.connections) <= self._limits.connections or self._make_room():
            self._set_deadline()
        else:
            self._refuse(503, f"too many connections: this process serves {self._limits.connections} at a time")

    def _make_room(self) -> bool:
        """Close the connection that is idle longest, if this one is over the limit. Returns False if none is idle."""
        others = (connection for connection in self.connections if connection is not self)
        has_room, idle = longest_idle(others, self._limits.connections, self.loop.time())
        if idle is not None:
            # It closes later in the event loop's turn, and must not count for further connections of this turn.
            self.connections.discard(idle)
            idle.transport.close()
        return has_room

    def shutdown(self) -> None:
        """The server stops: requests that wait end now, the others may finish."""
        self._is_stopping = True
        super().shutdown()

    def is_served(self) -> bool:
        """Whether the connection is neither refused nor closing."""
        is_refused = self._refused and not self._is_responding()
        return not is_refused and not self.transport.is_closing()

    def is_idle(self) -> bool:
        """Whether the connection has no request in progress and no response to deliver."""
        has_requests = self._reading is not Reading.NOTHING or self._is_responding()
        return not has_requests and not self.transport.get_write_buffer_size()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers and report the end of the connection."""
        self._clear_deadline()
        self._progress.stop()
        # uvicorn informs the last request only; an earlier one would write to the closed connection.
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)
        if self._on_closed is not None:
            self._on_closed()

    def data_received(self, data: bytes) -> None:
        """Parse the data, and set a deadline for the rest of the request."""
        if self._refused:
            return
        continues_head = self._reading is Reading.HEAD
        self._window_bytes += len(data)
        super().data_received(data)
        self._check_progress(len(data) if continues_head else 0)

    def _check_progress(self, head_bytes: int) -> None:
        """Set a deadline for the rest of the request. `head_bytes`: bytes received for a head that had begun before."""
        if self._refused or self.transport.is_closing():
            return
        if self._reading is Reading.HEAD and head_bytes:
            # An endless header never reaches a callback, so its bytes are counted here.
            self._head_bytes += head_bytes
            if self._head_bytes > self._limits.header_bytes + self._limits.request_line_bytes:
                self._refuse(431, self._headers_too_large())
                return
        if self._reading is not Reading.NOTHING or not self._is_responding():
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
        """A fragment of the request line."""
        super().on_url(url)
        if len(self.url) > self._limits.request_line_bytes:
            self._stop(414, f"request line too long: the limit is {self._limits.request_line_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A complete header, or a trailer of a chunked body, which is ignored."""
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > self._limits.header_bytes:
            self._stop(431, self._headers_too_large())
        if self._reading is Reading.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The app starts here; the body may still arrive."""
        self._clear_deadline()
        self._reading = Reading.BODY
        if not self.url.startswith(b"/"):
            self.url = with_path(self.url)
        self.scope["extensions"] = {
            ABORT: {"abort": self.transport.abort},
            STOPPING: {"is_stopping": lambda: self._is_stopping},
        }
        super().on_headers_complete()
        # The app starts in a later turn of the event loop.
        self.scope["extensions"][ARRIVED] = {"take": partial(_take_body, self.cycle)}
        self.cycle.transport = JoinedWrites(self.transport, self.loop)  # type: ignore[assignment]
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._cycles.append(self.cycle)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._clear_deadline()
        self._reading = Reading.NOTHING
        super().on_message_complete()

    # Responses

    def on_response_complete(self) -> None:
        """The app has written a response; the client must read it in time."""
        self.idle_since = self.loop.time()
        self._progress.start_period()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The transport's buffer is full: the client must read in time."""
        super().pause_writing()
        self._progress.start_period()

    def _is_responding(self) -> bool:
        """Whether the app still processes the last request with complete headers."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    # Refusals

    def send_400_response(self, msg: str) -> None:
        """Respond to a parse error, or with the refusal of `_stop`."""
        status, message = self._refusal or (400, msg.rstrip(".").lower())
        self._refuse(status, message)

    def _headers_too_large(self) -> str:
        return f"request headers too large: the limit is {self._limits.header_bytes} bytes in total"

    def _stop(self, status: int, message: str) -> None:
        self._refusal = (status, message)
        raise _Refused

    def _refuse(self, status: int, message: str) -> None:
        self._refused = True
        self._clear_deadline()
        pending = [cycle for cycle in self._cycles if not cycle.response_complete]
        incomplete = pending.pop() if pending and pending[-1].more_body else None
        if incomplete is not None:
            incomplete.disconnected = True
            incomplete.message_event.set()
        if pending:
            # The invalid bytes follow valid requests: finish their responses, then close the connection.
            if incomplete is not None:
                self.pipeline.popleft()
            pending[-1].keep_alive = False
            return
        if incomplete is not None and incomplete.response_started:
            self.transport.close()
            return
        self.transport.write(refusal(status, message, self._new_trace_id()))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    # Timeouts

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
        elif self.flow.read_paused or self._window_bytes >= MIN_BYTES_PER_SECOND * seconds:
            # The app does not read at the moment, or the client is fast enough.
            self._set_deadline()
        elif self.cycle.response_complete:
            self.transport.close()
        else:
            self._refuse(408, f"request body stalled: less than {MIN_BYTES_PER_SECOND} bytes/s for {seconds:g} s")


def _take_body(cycle: RequestResponseCycle) -> bytes | None:
    """The body of the request, as its next message, if it has arrived as a whole."""
    if cycle.more_body or cycle.disconnected or cycle.response_complete or cycle.waiting_for_100_continue:
        return None
    body, cycle.body = bytes(cycle.body), bytearray()
    cycle.flow.resume_reading()
    cycle.message_event.clear()
    return body
