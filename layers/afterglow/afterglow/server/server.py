"""Serves an app with uvicorn, our protocol, and a shutdown that always ends.

Connections come from listening sockets or from a supervisor.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import FrameType

import uvicorn
import uvloop
from starlette.types import ASGIApp

from afterglow.allocator import FreeMemory
from afterglow.server import interpreter
from afterglow.server.connection_limit import longest_idle
from afterglow.server.ipc import ALIVE, ALIVE_SECONDS, CLOSED, DRAINING, READY
from afterglow.server.protocol import LimitedProtocol
from afterglow.server.refusals import Limits
from afterglow.settings import Settings, System

ACCEPT_BATCH = 64
ACCEPT_PAUSE = 0.1
"""Seconds without accepting after it failed."""
_FREE_MEMORY_SECONDS = 3.0

log = logging.getLogger(__name__)


def serve_app(
    app: ASGIApp,
    settings: Settings,
    system: System,
    *,
    listeners: list[socket.socket] | None = None,
    control: socket.socket | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serve `app` until SIGTERM or SIGINT, or until the other end of `control` is closed.

    Connections come from `listeners`, or one at a time as descriptors over `control`. At the end, requests in flight
    have `settings.shutdown_seconds` to finish.
    """
    config = uvicorn.Config(
        app,
        loop="none",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=round(settings.keep_alive_seconds),
        timeout_graceful_shutdown=round(settings.shutdown_seconds),
    )
    server = Server(config, settings, system, Source(listeners or [], control), on_ready)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets=[]))


@dataclass(frozen=True, slots=True)
class Source:
    """Where connections come from: listening sockets, or a supervisor's socket."""

    listeners: list[socket.socket]
    control: socket.socket | None


class Server(uvicorn.Server):
    """One process's server.

    It accepts connections itself. uvloop's own server stops listening for good when `accept` fails, for example because
    too many files are open; this one closes an idle connection and tries again.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        settings: Settings,
        system: System,
        source: Source,
        on_ready: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._shutdown_seconds = settings.shutdown_seconds
        self._listeners = source.listeners
        self._control = source.control
        self._cannot_accept = False
        self._on_ready = on_ready
        self._unreported_closes = 0
        self._connecting: set[asyncio.Task[object]] = set()
        self._protocol = partial(
            LimitedProtocol,
            limits=Limits(
                request_line_bytes=settings.max_request_line_bytes,
                header_bytes=settings.max_header_bytes,
                client_seconds=settings.client_timeout_seconds,
                connections=settings.max_connections,
            ),
            new_trace_id=lambda: f"{system.random.getrandbits(128):032x}",
            on_closed=self._connection_closed if source.control else None,
        )
        config.http = self._protocol  # type: ignore[assignment]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting connections, from the sockets or the supervisor, then report readiness."""
        await super().startup(sockets=sockets)
        interpreter.after_startup()
        self._return_free_memory(FreeMemory())
        self._listen()
        if self._control is not None:
            self._control.setblocking(False)
            asyncio.get_running_loop().add_reader(self._control, self._receive_connection, self._control)
            self._control.send(READY)
            self._report_alive(self._control)
        if self._on_ready is not None:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections and let requests in flight finish; a timer ends the process if one hangs."""
        exit_timer = threading.Timer(self._shutdown_seconds + 5, os._exit, (1,))
        exit_timer.daemon = True
        exit_timer.start()
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._listeners = []
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self._control.send(DRAINING)
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM starts a clean shutdown, and so does SIGINT unless a supervisor handles it."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN if self._control else self._stop)
        yield

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self.should_exit and number == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    def _listen(self) -> None:
        for listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                self._pause_accepting(error)
                return
            self._cannot_accept = False
            self._start_serving(connection)

    def _pause_accepting(self, error: OSError) -> None:
        """Accept no connections for a moment, and close the one that is idle longest: it may free a descriptor."""
        loop = asyncio.get_running_loop()
        if not self._cannot_accept:
            self._cannot_accept = True
            log.error("cannot accept connections, trying again until it works: %s", error)
        for listener in self._listeners:
            loop.remove_reader(listener)
        _, idle = longest_idle(self.server_state.connections, 0, loop.time())
        if idle is not None:
            idle.transport.close()
        loop.call_later(ACCEPT_PAUSE, self._listen)

    def _start_serving(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._serve_connection(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def _report_alive(self, control: socket.socket) -> None:
        """Report now and every `ALIVE_SECONDS`: a worker whose event loop hangs is silent, and is replaced."""
        if self.should_exit:
            return
        with contextlib.suppress(BlockingIOError, ConnectionError):
            control.send(ALIVE)
        asyncio.get_running_loop().call_later(ALIVE_SECONDS, self._report_alive, control)

    def _return_free_memory(self, memory: FreeMemory) -> None:
        """Return what large requests took, every few seconds; in a thread, because it blocks."""
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, memory.return_if_grown)
        loop.call_later(_FREE_MEMORY_SECONDS, self._return_free_memory, memory)

    def _receive_connection(self, control: socket.socket) -> None:
        """Receive one connection from the supervisor; stop if the supervisor has ended."""
        try:
            data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except BlockingIOError:
            return
        except ConnectionError:
            data, descriptors = b"", []
        if not data:
            log.warning("the supervisor has ended, stopping")
            asyncio.get_running_loop().remove_reader(control)
            self.should_exit = True
            return
        for descriptor in descriptors:
            self._start_serving(socket.socket(fileno=descriptor))
        if not descriptors:
            # The kernel could not install the descriptor.
            log.error("a connection is lost: the limit of open files is reached")
            self._connection_closed()

    async def _serve_connection(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        make_protocol = partial(self._protocol, self.config, self.server_state, self.lifespan.state, loop)
        try:
            await loop.connect_accepted_socket(make_protocol, connection)
        except OSError as error:
            # The client has already disconnected.
            log.debug("connection lost at its start: %s", error)
            connection.close()
            self._connection_closed()

    def _connection_closed(self) -> None:
        """Report to the supervisor, which counts connections; if its socket is full, report with the next close."""
        if self._control is None:
            return
        self._unreported_closes += 1
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._unreported_closes -= self._control.send(CLOSED * self._unreported_closes)
