"""How many bytes of request bodies may be held in memory at once.

A large write is read whole before it is decoded, so a flood of them could exhaust memory. Each request with a body
worth counting takes its size from one budget first and waits its turn if there is too little; meanwhile the connection
is not read, so the client waits too. Small requests never wait.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SMALL = 64 * 1024
"""Bytes up to which a body is not counted; what one connection buffers anyway."""


class BodyBudget:
    """An ASGI app that lets requests into `app` as the budget allows, in the order they came."""

    def __init__(self, app: App, budget: int, largest: int) -> None:
        """`budget`: bytes that may be held at once; `largest`: bytes a body may have, counted when it does not say."""
        self._app = app
        self._free = max(budget, largest)
        self._largest = largest
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on once there is room for its body."""
        size = self._size(scope)
        if size <= SMALL:
            await self._app(scope, receive, send)
            return
        await self._take(size)
        try:
            await self._app(scope, receive, send)
        finally:
            self._free += size
            self._admit()

    def _size(self, scope: Scope) -> int:
        """Bytes to count for the request; 0 for one that the app will refuse unread."""
        if scope["type"] != "http":
            return 0
        for name, value in scope["headers"]:
            if name == b"content-length":
                size = int(value)
                return size if size <= self._largest else 0
            if name == b"transfer-encoding":
                return self._largest
        return 0

    async def _take(self, size: int) -> None:
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
                self._admit()
            raise

    def _admit(self) -> None:
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
