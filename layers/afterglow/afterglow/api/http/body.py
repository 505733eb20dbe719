"""Reads a request's body: checks its content type, its size and its speed."""

import asyncio
from collections.abc import Iterable

from starlette.types import Message, Receive

from afterglow.api.http.errors import TooSlow, UnsupportedMediaType
from afterglow.errors import TooLarge

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


async def read_body(
    receive: Receive,
    headers: Headers,
    limit: int,
    advice: str = "",
    *,
    chunk_seconds: float = CHUNK_SECONDS,
    total_seconds: float = TOTAL_SECONDS,
) -> bytes:
    """The whole body, at most `limit` bytes; the error for a larger one ends with `advice`.

    Raises TooLarge, TooSlow, ClientGone.
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
        message = await _next_message(receive, chunk_seconds, deadline)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            await _discard(receive, limit * DISCARD_RATIO, chunk_seconds, deadline)
            raise _too_large(f"more than {limit} bytes", limit, advice)
    return b"".join(chunks)


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


async def _next_message(receive: Receive, chunk_seconds: float, deadline: float) -> Message:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(min(deadline, loop.time() + chunk_seconds)):
            message = await receive()
    except TimeoutError:
        raise TooSlow("the request's body did not arrive in time") from None
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
