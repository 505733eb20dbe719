"""Reading a request's body: what it must be called, how large it may be, how long it may take."""

import asyncio
from collections.abc import Iterable

from starlette.types import Message, Receive

from afterglow.api.http.errors import TooSlow, UnsupportedMediaType
from afterglow.errors import TooLarge

PIECE_SECONDS = 20.0
"""Time in which the next piece of a body must come."""
TOTAL_SECONDS = 120.0
"""Time in which the whole body must come."""
DISCARD_RATIO = 8
"""A refused body of up to so many times the limit is read and thrown away, so that the client can read the answer."""

Headers = Iterable[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client closed the connection before its request was whole: there is nobody to answer."""


def require_json(headers: Headers) -> None:
    """Refuse a declared type that is not JSON; old clients declare none. Raises UnsupportedMediaType."""
    for name, value in headers:
        if name == b"content-type" and value != b"application/json":
            kind = value.split(b";", 1)[0].strip().lower()
            suffixed = kind.startswith(b"application/") and kind.endswith(b"+json")
            if kind != b"application/json" and not suffixed:
                raise UnsupportedMediaType("Expected request with `Content-Type: application/json`")


async def read_body(
    receive: Receive,
    headers: Headers,
    limit: int,
    advice: str = "",
    *,
    piece_seconds: float = PIECE_SECONDS,
    total_seconds: float = TOTAL_SECONDS,
) -> bytes:
    """The whole body, at most `limit` bytes; whoever sends more is given `advice`.

    Raises TooLarge, TooSlow, ClientGone.
    """
    end = asyncio.get_running_loop().time() + total_seconds
    declared = _declared_length(headers)
    if declared is not None and declared > limit:
        if not _waits_for_leave(headers) and declared <= limit * DISCARD_RATIO:
            await _discard(receive, declared, piece_seconds, end)
        raise _too_large(f"{declared} bytes", limit, advice)
    message = await _next(receive, piece_seconds, end)
    if not message.get("more_body", False):
        return _within(message.get("body", b""), limit, advice)
    pieces = [message.get("body", b"")]
    size = len(pieces[0])
    while message.get("more_body", False):
        message = await _next(receive, piece_seconds, end)
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            await _discard(receive, limit * DISCARD_RATIO, piece_seconds, end)
            raise _too_large(f"more than {limit} bytes", limit, advice)
    return b"".join(pieces)


async def skip_body(receive: Receive, headers: Headers, limit: int, *, piece_seconds: float = PIECE_SECONDS) -> None:
    """Read the body of a refused request and throw it away, up to `limit` bytes, so that the client reads the answer.

    Raises TooSlow, ClientGone.
    """
    declared = _declared_length(headers)
    if not _waits_for_leave(headers) and (declared is None or declared <= limit):
        await _discard(receive, limit, piece_seconds, asyncio.get_running_loop().time() + TOTAL_SECONDS)


def _within(body: bytes, limit: int, advice: str) -> bytes:
    if len(body) > limit:
        raise _too_large(f"{len(body)} bytes", limit, advice)
    return body


def _too_large(what: str, limit: int, advice: str) -> TooLarge:
    suffix = f"; {advice}" if advice else ""
    return TooLarge(f"Payload too large: the body has {what}, at most {limit} are accepted{suffix}")


async def _next(receive: Receive, piece_seconds: float, end: float) -> Message:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(min(end, loop.time() + piece_seconds)):
            message = await receive()
    except TimeoutError:
        raise TooSlow("the request's body did not arrive in time") from None
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


async def _discard(receive: Receive, most: int, piece_seconds: float, end: float) -> None:
    while most > 0:
        message = await _next(receive, piece_seconds, end)
        if not message.get("more_body", False):
            return
        most -= len(message.get("body", b""))


def _declared_length(headers: Headers) -> int | None:
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


def _waits_for_leave(headers: Headers) -> bool:
    return any(name == b"expect" for name, _ in headers)
