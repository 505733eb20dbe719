"""uvicorn, with our protocol, connections handed over by a supervisor, and an end that is sure to come."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn
import uvloop

from afterglow.api.app import create_app
from afterglow.bulk.directory_watcher import DirectoryWatcher
from afterglow.deployment.open import open_deployment
from afterglow.jobs.start import start_engine
from afterglow.server import interpreter
from afterglow.server.body_budget import App, BodyBudget
from afterglow.server.protocol import LimitedProtocol, Limits
from afterglow.server.supervisor import CLOSED, DRAINING, READY
from afterglow.settings import Settings, System

log = logging.getLogger(__name__)


def serve_app(
    app: App,
    settings: Settings,
    system: System,
    *,
    listeners: list[socket.socket] | None = None,
    control: socket.socket | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serves `app` until SIGTERM or SIGINT, or until the other end of `control` is closed.

    Connections come from `listeners`, or one at a time as descriptors over `control`. Requests in flight get
    `settings.shutdown_seconds` to finish.
    """
    config = uvicorn.Config(
        BodyBudget(app, settings.max_inflight_body_bytes, settings.max_body_bytes),
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
    server = Server(config, settings, system, control, on_ready)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets=listeners or []))


class Server(uvicorn.Server):
    """One process's server. `control`: the supervisor's socket, if there is one."""

    def __init__(
        self,
        config: uvicorn.Config,
        settings: Settings,
        system: System,
        control: socket.socket | None,
        on_ready: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._shutdown_seconds = settings.shutdown_seconds
        self._control = control
        self._on_ready = on_ready
        self._closed_untold = 0
        self._adopting: set[asyncio.Task[object]] = set()
        self._protocol = partial(
            LimitedProtocol,
            limits=Limits(
                request_line_bytes=settings.max_request_line_bytes,
                header_bytes=settings.max_header_bytes,
                client_seconds=settings.client_timeout_seconds,
                connections=settings.max_connections,
            ),
            new_trace_id=lambda: f"{system.random.getrandbits(128):032x}",
            on_closed=self._connection_closed if control else None,
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts listening, on the sockets or to the supervisor, then says so."""
        self.config.http_protocol_class = self._protocol  # type: ignore[assignment]
        await super().startup(sockets=sockets)
        interpreter.after_startup()
        if self._control is not None:
            self._control.setblocking(False)
            asyncio.get_running_loop().add_reader(self._control, self._receive_connection, self._control)
            self._control.send(READY)
        if self._on_ready is not None:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening and lets requests in flight finish; a hanging one is cut off."""
        cut_off = threading.Timer(self._shutdown_seconds + 5, os._exit, (1,))
        cut_off.daemon = True
        cut_off.start()
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self._control.send(DRAINING)
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM, and SIGINT unless a supervisor handles that one, ask for a clean end."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN if self._control else self._stop)
        yield

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self.should_exit and number == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    def _receive_connection(self, control: socket.socket) -> None:
        """Takes one connection from the supervisor; if that one is gone, ends."""
        try:
            told, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except BlockingIOError:
            return
        except ConnectionError:
            told, descriptors = b"", []
        if not told:
            log.warning("the supervisor is gone, stopping")
            asyncio.get_running_loop().remove_reader(control)
            self.should_exit = True
            return
        for descriptor in descriptors:
            connection = socket.socket(fileno=descriptor)
            connection.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._serve_connection(connection))
            self._adopting.add(task)
            task.add_done_callback(self._adopting.discard)

    async def _serve_connection(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        make = partial(self._protocol, self.config, self.server_state, self.lifespan.state, loop)
        try:
            await loop.connect_accepted_socket(make, connection)
        except OSError as error:
            # The client has gone already.
            log.debug("connection lost at once: %s", error)
            connection.close()
            self._connection_closed()

    def _connection_closed(self) -> None:
        """Tells the supervisor, which counts; what its socket cannot take now is told with the next."""
        assert self._control is not None
        self._closed_untold += 1
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._closed_untold -= self._control.send(CLOSED * self._closed_untold)


def serve(
    path: Path | None,
    settings: Settings,
    system: System,
    *,
    allow_reset: bool,
    listeners: list[socket.socket] | None = None,
    control: socket.socket | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serves the directory at `path`, or an AWS account (None); the rest is `serve_app`'s.

    Raises what opening them raises.
    """
    engine = start_engine(open_deployment(path, settings, system), settings, system)
    watcher = None if path is None else DirectoryWatcher(path, engine)
    if watcher is not None:
        watcher.start()
    try:
        app = create_app(engine, settings, system, allow_reset=allow_reset, report_usage=path is None)
        serve_app(app, settings, system, listeners=listeners, control=control, on_ready=on_ready)
    finally:
        if watcher is not None:
            watcher.close()
        engine.close()
