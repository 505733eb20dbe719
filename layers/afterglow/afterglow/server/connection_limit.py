"""The limit of open connections: an idle connection gives way to a new one.

Clients keep connections open between requests (the stock client keeps two), so most connections of a busy server are
idle. At the limit the server closes the connection that has been idle longest; it refuses a new connection only if no
connection is idle.
"""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any, Protocol

NEW_CONNECTION_SECONDS = 1.0
"""A connection without any request so far is not idle before this time: its first request may be on its way."""


class Connection(Protocol):
    """A connection, as far as the limit needs it."""

    transport: asyncio.Transport
    idle_since: float
    """Time of the event loop at which the connection became idle, or will become so; valid if `is_idle`."""

    def is_idle(self) -> bool:
        """Whether the connection has no request in progress and no response to deliver."""

    def is_served(self) -> bool:
        """Whether the connection is neither refused nor closing."""


def longest_idle(connections: Iterable[Any], limit: int, now: float) -> tuple[bool, Connection | None]:
    """Whether one more connection may open beside `connections`, and the connection to close for it, if any.

    `now`: time of the event loop.
    """
    served: list[Connection] = [connection for connection in connections if connection.is_served()]
    if len(served) < limit:
        return True, None
    idle = [connection for connection in served if connection.idle_since <= now and connection.is_idle()]
    for connection in sorted(idle, key=lambda candidate: candidate.idle_since):
        if not _has_unread_data(connection.transport):
            return True, connection
    return False, None


def _has_unread_data(transport: asyncio.Transport) -> bool:
    """Whether the client has sent something that the event loop has not read yet."""
    sock = transport.get_extra_info("socket")
    try:
        # No duplicate of the descriptor: there may be none left.
        borrowed = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.fileno())
    except OSError:
        return False
    try:
        return bool(borrowed.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        # Nothing to read (BlockingIOError), or a broken connection.
        return False
    finally:
        borrowed.detach()
