"""Reads a request's body: checks its content type, its size and its speed.

A body takes its bytes from a budget (`byte_budget`) as they arrive. If none are free, it is not read on, so that its
client waits too; this time counts towards no timeout.

Most bodies have arrived as a whole before their request is served. The ASGI extension `ARRIVED` of our server hands
such a body over without a wait and its timeout.
"""

import asyncio
from collections.abc import Iterable

from starlette.types import Message, Receive, Scope

from afterglow.api.http.byte_budget import UNCOUNTED_BYTES, Dropped, Lease
from afterglow.api.http.errors import Overloaded, TooSlow, UnsupportedMediaType
from afterglow.errors import TooLarge

ARRIVED = "afterglow.arrived"
"""The extension: `take` returns the body and takes it from the connection; None if a part of it is still to come."""
CHUNK_SECONDS = 20.0
"""Timeout for the next chunk of a body."""
TOTAL_SECONDS = 120.0
"""Timeout for the whole body."""
DISCARD_RATIO = 8
"""A refused body of up to this many times the limit is read and discarded, so that the client reads the response."""

Headers = Iterable[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client closed the connection before its request was complete: nobody can receive a response."""


def require_json(headers: Headers) -> None:
    """Refuse a declared content type that is not JSON; old clients declare none. Raises UnsupportedMediaType."""
    for name, value in headers:
        if name == b"content-type" and value != b"application/json":
            media_type = value.split(b";", 1)[0].strip().lower()
            has_json_suffix = media_type.startswith(b"application/") and media_type.endswith(b"+json")
            if media_type != b"application/json" and not has_json_suffix:
                raise UnsupportedMediaType("Expected request with `Content-Type: application/json`")


def take_arrived(scope: Scope, limit: int, advice: str = "") -> bytes | None:
    """The whole body, as `read_body` returns it, if it has arrived already; else None. Raises TooLarge."""
    arrived = scope.get("extensions", {}).get(ARRIVED)
    body = None if arrived is None else arrived["take"]()
    return None if body is None else _require_size(body, limit, advice)


async def read_body(
    receive: Receive,
    headers: Headers,
    limit: int,
    advice: str = "",
    *,
    lease: Lease | None = None,
    chunk_seconds: float = CHUNK_SECONDS,
    total_seconds: float = TOTAL_SECONDS,
) -> bytes:
    """The whole body, at most `limit` bytes; the error for a larger one ends with `advice`.

    A body of more than `UNCOUNTED_BYTES` takes them from the `lease`, which the caller releases.

    Raises TooLarge, TooSlow, Overloaded, ClientGone.
    """
    deadline = asyncio.get_running_loop().time() + total_seconds
    declared = _declared_length(headers)
    if declared is not None and declared > limit:
        if not _expects_continue(headers) and declared <= limit * DISCARD_RATIO:
            await _discard(receive, declared, chunk_seconds, deadline)
        raise _too_large(f"{declared} bytes", limit, advice)
    message = await _next_message(receive, chunk_seconds, deadline)
    if not message.get("more_body", False):
        return _require_size(message.get("body", b""), limit, advice)
    chunks = [message.get("body", b"")]
    size = len(chunks[0])
    while message.get("more_body", False):
        message = await _next_message(receive, chunk_seconds, deadline, lease)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            chunks.clear()
            await _discard(receive, limit * DISCARD_RATIO, chunk_seconds, deadline)
            raise _too_large(f"more than {limit} bytes", limit, advice)
        if lease is not None and size > UNCOUNTED_BYTES:
            lease.move(len(chunks[-1]))
            deadline += await _take(lease, size - lease.held)
    return b"".join(chunks)


async def _take(lease: Lease, size: int) -> float:
    """Take bytes from the budget; the seconds that it took. Raises Overloaded."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        await lease.take(size)
    except Dropped:
        raise Overloaded(
            "the server's memory for request bodies is in use, and others need it more; try again, or send fewer "
            "records at a time"
        ) from None
    return loop.time() - began


async def skip_body(receive: Receive, headers: Headers, limit: int, *, chunk_seconds: float = CHUNK_SECONDS) -> None:
    """Read and discard the body of a refused request, up to `limit` bytes, so that the client reads the response.

    Raises TooSlow, ClientGone.
    """
    declared = _declared_length(headers)
    if not _expects_continue(headers) and (declared is None or declared <= limit):
        await _discard(receive, limit, chunk_seconds, asyncio.get_running_loop().time() + TOTAL_SECONDS)


def _require_size(body: bytes, limit: int, advice: str) -> bytes:
    if len(body) > limit:
        raise _too_large(f"{len(body)} bytes", limit, advice)
    return body


def _too_large(size: str, limit: int, advice: str) -> TooLarge:
    suffix = f"; {advice}" if advice else ""
    return TooLarge(f"Payload too large: the body has {size}, at most {limit} are accepted{suffix}")


async def _next_message(receive: Receive, chunk_seconds: float, deadline: float, lease: Lease | None = None) -> Message:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(min(deadline, loop.time() + chunk_seconds)) as timeout:
            if lease is not None:
                lease.interrupt = lambda: timeout.reschedule(loop.time())
            message = await receive()
    except TimeoutError:
        reason = " while others wait for memory" if lease is not None and lease.is_dropped else ""
        raise TooSlow(f"the request's body did not arrive in time{reason}") from None
    finally:
        if lease is not None:
            lease.interrupt = None
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


async def _discard(receive: Receive, max_bytes: int, chunk_seconds: float, deadline: float) -> None:
    while max_bytes > 0:
        message = await _next_message(receive, chunk_seconds, deadline)
        if not message.get("more_body", False):
            return
        max_bytes -= len(message.get("body", b""))


def _declared_length(headers: Headers) -> int | None:
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


def _expects_continue(headers: Headers) -> bool:
    return any(name == b"expect" for name, _ in headers)
