"""Responses that wait for something new: long polling, and streams of server-sent events.

A request that waits holds no thread. The event loop asks the feed in the thread pool whether there is something new: at
once after something came, then ever less often, down to every `_LAST_PAUSE` seconds. Waiting ends when the client
disconnects or the server stops. A stream ends after `STREAM_SECONDS`, so that a credential is checked again and
again: the client of an event stream reconnects by itself, with the id of the last event that it got.

Where requests have no thread pool, as in a Lambda function, nothing waits: a long poll answers at once, and a stream
ends after its first page.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from afterglow.api.http import delivery, errors
from afterglow.api.http.byte_budget import ByteBudget
from afterglow.api.http.handler import Feed, Response
from afterglow.errors import AfterglowError, Busy
from afterglow.metering import current_usage
from afterglow.settings import System

STOPPING = "afterglow.stopping"
"""An ASGI extension of our server: `is_stopping` tells whether the server waits for its last requests to end."""
MAX_FOLLOWERS = 128
"""Requests of a process that wait at the same time."""
EVENT_STREAM = b"text/event-stream"
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 0.5
STREAM_SECONDS = 300.0
_HEARTBEAT_SECONDS = 15.0
_HEARTBEAT = b":\n\n"
_HEADERS = [(b"content-type", EVENT_STREAM), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]

logger = logging.getLogger("afterglow.api")

Run = Callable[[Callable[[], Response | None]], Awaitable[Response | None]]
"""Runs a function where handlers run."""


class Client:
    """The other end of a request without a body, as far as waiting is concerned."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._stopping = scope.get("extensions", {}).get(STOPPING)
        self._gone = asyncio.Event()
        self._watch = asyncio.get_running_loop().create_task(self._wait_for_disconnect())

    @property
    def is_over(self) -> bool:
        """Whether the client has disconnected, or the server stops."""
        return self._gone.is_set() or (self._stopping is not None and self._stopping["is_stopping"]())

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until the client disconnects. The time is no part of the request's duration."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), seconds)
        usage = current_usage()
        if usage is not None:
            usage.waited_seconds += loop.time() - started

    def end(self) -> None:
        """End the waiting, as if the client had disconnected; what was sent is complete."""
        self._gone.set()

    async def close(self) -> None:
        """Stop watching."""
        self._watch.cancel()
        with suppress(asyncio.CancelledError):
            await self._watch

    async def _wait_for_disconnect(self) -> None:
        # The first message is the empty body. What is no disconnect then comes from a server that never reports one.
        for _ in range(2):
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone.set()
                return


@dataclass(slots=True)
class Followers:
    """The requests that wait, the oldest first, and their callers: users, or without authentication addresses."""

    callers: dict[Client, str] = field(default_factory=dict)

    @contextmanager
    def join(self, client: Client, caller: str) -> Iterator[None]:
        """Count a request for the length of the block. Raises Busy if too many wait.

        A caller does not keep others out: then the oldest request of the caller that has most of them ends.
        """
        if len(self.callers) >= MAX_FOLLOWERS:
            self._make_room(caller)
        self.callers[client] = caller
        try:
            yield
        finally:
            self.callers.pop(client, None)

    def _make_room(self, caller: str) -> None:
        counts = Counter(self.callers.values())
        largest, count = counts.most_common(1)[0]
        if counts[caller] + 1 >= count:
            raise Busy(f"{MAX_FOLLOWERS} requests wait for changes already: try again, or read without waiting")
        oldest = next(client for client, other in self.callers.items() if other == largest)
        del self.callers[oldest]
        oldest.end()


async def wait(feed: Feed, client: Client, run: Run) -> Response:
    """The next page of the feed, or the first one, which is empty, if none comes in time. Raises what `read` raises."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + feed.wait_seconds, _FIRST_PAUSE
    while (left := deadline - loop.time()) > 0 and not client.is_over:
        await client.pause(min(pause, left))
        page = await run(feed.read)
        if page is not None:
            return page
        pause = min(1.5 * pause, _LAST_PAUSE)
    return feed.first


class EventStream:
    """Sends the pages of a feed as they come."""

    def __init__(self, scope: Scope, send: Send, budget: ByteBudget | None, caller: str) -> None:
        self._scope = scope
        self._send = send
        self._budget = budget
        self._caller = caller

    async def send(self, feed: Feed, client: Client, run: Run, system: System) -> None:
        """Send all pages; an error after the first page is an event named `error`, which ends the stream."""
        await self._send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *feed.first.headers]})
        try:
            await self._send_pages(feed, client, run)
        except AfterglowError as error:
            trace_id = errors.new_trace_id(system)
            await self._send_error(errors.client_error(error, self._scope["method"], self._scope["path"], trace_id))
        except Exception as error:  # noqa: BLE001 - the response has begun: the client must learn of it all the same
            trace_id = errors.new_trace_id(system)
            await self._send_error(errors.server_error(error, self._scope["method"], self._scope["path"], trace_id))
        await self._send({"type": "http.response.body", "body": b""})

    async def _send_pages(self, feed: Feed, client: Client, run: Run) -> None:
        await self._send_page(feed.first)
        loop = asyncio.get_running_loop()
        end, sent_at, pause = loop.time() + feed.wait_seconds, loop.time(), _FIRST_PAUSE
        while loop.time() < end and not client.is_over:
            page = await run(feed.read)
            if page is not None:
                await self._send_page(page)
                sent_at, pause = loop.time(), _FIRST_PAUSE
                continue
            if loop.time() - sent_at >= _HEARTBEAT_SECONDS:
                await self._send_piece(_HEARTBEAT)
                sent_at = loop.time()
            await client.pause(min(pause, max(end - loop.time(), 0)))
            pause = min(1.5 * pause, _LAST_PAUSE)

    async def _send_page(self, page: Response) -> None:
        """Send a page at the speed of the client; its bytes are taken from the budget for as long."""
        lease = None if self._budget is None else await delivery.reserve(self._budget, page, self._caller)
        try:
            if lease is not None:
                lease.interrupt = self._scope["extensions"][delivery.ABORT]["abort"]
            for start in range(0, len(page.body), delivery.PIECE_BYTES):
                await self._send_piece(page.body[start : start + delivery.PIECE_BYTES])
                if lease is not None:
                    lease.move(delivery.PIECE_BYTES)
        finally:
            if lease is not None:
                lease.interrupt = None
                lease.release()

    async def _send_error(self, response: Response) -> None:
        await self._send_piece(b"event: error\ndata: " + response.body + b"\n\n")

    async def _send_piece(self, piece: bytes) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})


def encode_event(event_id: str, data: bytes) -> bytes:
    """One event; `data` is a line."""
    return b"id: " + event_id.encode() + b"\ndata: " + data + b"\n\n"
