"""Limits the bytes of request bodies in memory.

A large write is read completely before it is decoded, so a flood of writes could exhaust memory. Each request with a
large body takes its size from one budget first, and waits in a queue if the budget is too small; meanwhile its
connection is not read, so the client waits too. Small requests never wait.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UNCOUNTED_BYTES = 64 * 1024
"""Bodies up to this size are not counted: a connection buffers as many bytes anyway."""


class BodyBudget:
    """An ASGI app that admits requests to `app` in their order of arrival, as far as the budget allows."""

    def __init__(self, app: App, budget: int, max_body_bytes: int) -> None:
        """`budget`: bytes in memory at once; `max_body_bytes`: largest body, and the count for one of unknown size."""
        self._app = app
        self._free = max(budget, max_body_bytes)
        self._max_body_bytes = max_body_bytes
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app once the budget covers the request's body."""
        size = self._size(scope)
        if size <= UNCOUNTED_BYTES:
            await self._app(scope, receive, send)
            return
        await self._acquire(size)
        try:
            await self._app(scope, receive, send)
        finally:
            self._free += size
            self._admit_waiting()

    def _size(self, scope: Scope) -> int:
        """Bytes to count for the request; 0 for one that the app refuses without reading its body."""
        if scope["type"] != "http":
            return 0
        for name, value in scope["headers"]:
            if name == b"content-length":
                size = int(value)
                return size if size <= self._max_body_bytes else 0
            if name == b"transfer-encoding":
                return self._max_body_bytes
        return 0

    async def _acquire(self, size: int) -> None:
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, size))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free += size
                self._admit_waiting()
            raise

    def _admit_waiting(self) -> None:
        while self._waiting:
            turn, size = self._waiting[0]
            if turn.cancelled():
                self._waiting.popleft()
            elif size <= self._free:
                self._waiting.popleft()
                self._free -= size
                turn.set_result(None)
            else:
                return
