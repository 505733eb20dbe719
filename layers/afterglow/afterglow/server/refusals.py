"""The limits of connections and requests, and the responses to what exceeds them.

Refused requests get a response in Chroma's error format, then the connection is closed:

====  =========================================================================
400   not HTTP
408   an incomplete request: headers after `client_timeout_seconds`, or a body slower than `MIN_BYTES_PER_SECOND`
414   a request line over `max_request_line_bytes`
431   headers over `max_header_bytes` in total
503   more than `max_connections` open, and none of them idle
====  =========================================================================

A connection on which the client sends nothing is closed without a response, and so is one whose response the client
does not read.
"""

from dataclasses import dataclass
from http import HTTPStatus

import orjson

LINGER_SECONDS = 2.0
"""Time in which a refused client may still send, so that it reads the response instead of a connection reset."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection, and the number of all of them."""

    request_line_bytes: int
    header_bytes: int
    client_seconds: float
    connections: int


def refusal(status: int, message: str, trace_id: str) -> bytes:
    """A complete HTTP response in Chroma's error format that closes the connection."""
    name = "InvalidArgumentError" if status == HTTPStatus.BAD_REQUEST else "ChromaError"
    body = orjson.dumps({"error": name, "message": message})
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        f"chroma-trace-id: {trace_id}\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
