"""httpx over an ASGI application in this process, for calls from any thread and any event loop.

The application runs on an event loop of its own, in a thread of its own: a synchronous call may come from a thread
whose loop is busy running it (a notebook), and an asynchronous one never holds up its caller's loop.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import httpx
from starlette.types import ASGIApp, Message, Scope

T = TypeVar("T")

HOST = "afterglow"
"""What clients are told to call: nothing ever looks the name up."""


class AppRunner:
    """An application with its loop and thread, lifespan included, from here until `close`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="afterglow-client", daemon=True)
        self._thread.start()
        self._stop = asyncio.Event()
        started: Future[None] = Future()
        self._lifespan = asyncio.run_coroutine_threadsafe(self._live(started), self._loop)
        started.result()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have a coroutine run on the application's loop. Raises RuntimeError in a forked process, and once closed."""
        if self._process != os.getpid():
            work.close()
            raise RuntimeError("the client was opened before this process was forked: open the path again here")
        with self._lock:
            if not self._closed:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise RuntimeError("the client was closed")

    async def answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """The application's answer to a request. To be run by `submit`."""
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
        """End the application and its thread. Calls in flight are finished first."""
        with self._lock:
            self._closed = True
        self._loop.call_soon_threadsafe(self._stop.set)
        self._lifespan.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _live(self, started: Future[None]) -> None:
        """The lifespan, from its start to its end."""
        begun = False

        async def receive() -> Message:
            nonlocal begun
            if begun:
                await self._stop.wait()
                await _pending_calls()
                return {"type": "lifespan.shutdown"}
            begun = True
            return {"type": "lifespan.startup"}

        async def send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                started.set_result(None)

        await self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)


async def _pending_calls() -> None:
    """Wait for the calls in flight."""
    mine = asyncio.current_task()
    await asyncio.gather(*(each for each in asyncio.all_tasks() if each is not mine), return_exceptions=True)


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
    """What both kinds of httpx client send by."""

    def __init__(self, running: AppRunner) -> None:
        self._running = running

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, in whatever thread."""
        return self._running.submit(self._running.answer(request, request.read())).result()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, on whatever loop."""
        return await asyncio.wrap_future(self._running.submit(self._running.answer(request, await request.aread())))
