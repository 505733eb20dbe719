"""httpx over an ASGI app in this process, for requests from any thread and any event loop.

The app runs on its own event loop in its own thread. A synchronous request may therefore come from a thread whose loop
is running (a notebook), and an asynchronous one never blocks its caller's loop.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from starlette.types import ASGIApp, Message, Scope

T = TypeVar("T")

_FORKED = "the client was opened before this process was forked: open the path again here"
_CLOSED = "the client was closed"

HOST = "afterglow"
"""The host in the clients' URLs; it is never resolved."""


class AppRunner:
    """An app running with its loop, thread and lifespan, from construction until `close`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._closed = False
        self._calls = 0
        self._no_calls = threading.Condition(self._lock)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="afterglow-client", daemon=True)
        self._thread.start()
        self._stop = asyncio.Event()
        started: Future[None] = Future()
        self._lifespan = asyncio.run_coroutine_threadsafe(self._run_lifespan(started), self._loop)
        started.result()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Runs a coroutine on the app's loop. Raises RuntimeError in a forked process, and after `close`."""
        if self._process != os.getpid():
            coroutine.close()
            raise RuntimeError(_FORKED)
        with self._lock:
            if not self._closed:
                return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        coroutine.close()
        raise RuntimeError(_CLOSED)

    @contextmanager
    def call(self) -> Iterator[None]:
        """A call of the engine in the caller's thread; `close` waits for its end.

        Raises RuntimeError in a forked process, and after `close`.
        """
        if self._process != os.getpid():
            raise RuntimeError(_FORKED)
        with self._lock:
            if self._closed:
                raise RuntimeError(_CLOSED)
            self._calls += 1
        try:
            yield
        finally:
            with self._no_calls:
                self._calls -= 1
                self._no_calls.notify_all()

    async def handle(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """The app's response to a request. To be run by `submit`."""
        start: Message = {}
        content: list[bytes] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                content.append(message.get("body", b""))

        await self._app(_scope(request), receive, send)
        return httpx.Response(start["status"], headers=start["headers"], stream=httpx.ByteStream(b"".join(content)))

    def close(self) -> None:
        """Finishes pending requests, then ends the app and its thread."""
        with self._no_calls:
            self._closed = True
            self._no_calls.wait_for(lambda: not self._calls)
        self._loop.call_soon_threadsafe(self._stop.set)
        self._lifespan.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _run_lifespan(self, started: Future[None]) -> None:
        """The app's lifespan, from startup to shutdown."""
        startup_sent = False

        async def receive() -> Message:
            nonlocal startup_sent
            if startup_sent:
                await self._stop.wait()
                await _finish_pending_requests()
                return {"type": "lifespan.shutdown"}
            startup_sent = True
            return {"type": "lifespan.startup"}

        async def send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                started.set_result(None)

        await self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)


async def _finish_pending_requests() -> None:
    lifespan = asyncio.current_task()
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not lifespan), return_exceptions=True)


def _scope(request: httpx.Request) -> Scope:
    path, _, query = request.url.raw_path.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": path,
        "root_path": "",
        "query_string": query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (HOST, None),
        "client": None,
    }


class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """The transport of both kinds of httpx client."""

    def __init__(self, runner: AppRunner) -> None:
        self._runner = runner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The response, to a caller on any thread."""
        return self._runner.submit(self._runner.handle(request, request.read())).result()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The response, to a caller on any event loop."""
        return await asyncio.wrap_future(self._runner.submit(self._runner.handle(request, await request.aread())))
