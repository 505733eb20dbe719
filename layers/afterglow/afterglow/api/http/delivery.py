"""Sends a response; a large one piece by piece, with its bytes taken from the server's budget until the last piece.

The ASGI extension `ABORT` of our server closes the connection of a client that reads too slowly while others wait.
"""

from starlette.types import Message, Scope, Send

from afterglow.api.http.byte_budget import UNCOUNTED_BYTES, ByteBudget, Dropped, Lease
from afterglow.api.http.errors import Overloaded
from afterglow.api.http.handler import Response

ABORT = "afterglow.abort"
"""The extension: `abort` closes the connection at once and discards all that has not been sent."""
PIECE_BYTES = 256 * 1024
"""Each piece is written after the client has read most of the one before."""


def is_counted(response: Response) -> bool:
    """Whether the bytes of the response are taken from the budget: it is not small."""
    return len(response.body) > UNCOUNTED_BYTES


async def reserve(budget: ByteBudget, response: Response, caller: str) -> Lease:
    """A lease of the bytes of a response, to be released by the caller. Raises Overloaded if there is no room."""
    lease = budget.lease(caller)
    try:
        await lease.take(len(response.body))
    except Dropped:
        lease.release()
        raise Overloaded(
            "the server's memory for responses is in use by clients that read slowly; try again, or request fewer "
            "records at a time"
        ) from None
    except BaseException:
        lease.release()
        raise
    return lease


async def send_large(scope: Scope, send: Send, response: Response, success: int, lease: Lease) -> None:
    """Send the response at the speed of its client; `success` is its status if it has none of its own."""
    lease.interrupt = scope["extensions"][ABORT]["abort"]
    try:
        await send(_start(response, success))
        body = memoryview(response.body)
        for start in range(0, len(body), PIECE_BYTES):
            end = start + PIECE_BYTES
            await send({"type": "http.response.body", "body": body[start:end], "more_body": end < len(body)})
            lease.move(PIECE_BYTES)
    finally:
        lease.interrupt = None


async def send_response(send: Send, response: Response, success: int, *, headers_only: bool = False) -> None:
    """Send the response; `success` is its status if it has none of its own."""
    await send(_start(response, success))
    await send({"type": "http.response.body", "body": b"" if headers_only else response.body})


def _start(response: Response, success: int) -> Message:
    headers = [(b"content-length", b"%d" % len(response.body)), *response.headers]
    if response.content_type:
        headers.append((b"content-type", response.content_type))
    status = success if response.status is None else response.status
    return {"type": "http.response.start", "status": status, "headers": headers}
