"""Errors as responses (status, Chroma's name, text, `chroma-trace-id`) and as log lines.

`TABLE` alone maps error types to statuses. Any other exception is a server error: 500, logged with its traceback under
the trace id in the response, which contains no details.
"""

import logging
import math
import traceback

import orjson

from afterglow import errors
from afterglow.api.http.handler import Response
from afterglow.settings import System

logger = logging.getLogger("afterglow.api")

TRACE_HEADER = b"chroma-trace-id"
OLDEST_POSITION_HEADER = b"afterglow-oldest-position"


class UnsupportedMediaType(errors.AfterglowError):
    """The body is declared to be something other than JSON."""


class TooSlow(errors.AfterglowError):
    """The body did not arrive in time."""


class Overloaded(errors.Unavailable):
    """The server's memory for bodies or responses is in use; the connection is closed."""


class InvalidCollection(errors.NotFound):
    """v1: the collection does not exist."""


class InvalidDimension(errors.InvalidArgument):
    """v1: a vector's dimension differs from the collection's."""


class InvalidId(errors.InvalidArgument):
    """v1: the id of a collection is not a UUID."""


class UniqueConstraint(errors.AlreadyExists):
    """v1: the name is taken."""


TABLE: dict[type[errors.AfterglowError], tuple[int, str]] = {
    errors.InvalidArgument: (400, "InvalidArgumentError"),
    errors.WrongDimension: (400, "InvalidArgumentError"),
    errors.InvalidBody: (422, "ChromaError"),
    errors.NotFound: (404, "NotFoundError"),
    errors.PositionExpired: (410, "ChromaError"),
    errors.AlreadyExists: (409, "ChromaError"),
    errors.WriteConflict: (409, "ConditionalWriteConflictError"),
    errors.StaleRead: (412, "StaleReadError"),
    errors.FunctionAttached: (412, "ChromaError"),
    errors.Unauthenticated: (401, "AuthError"),
    errors.PermissionDenied: (403, "ChromaError"),
    errors.Forbidden: (403, "AuthError"),
    errors.Unimplemented: (501, "ChromaError"),
    errors.TooLarge: (413, "ChromaError"),
    errors.ResponseTooLarge: (413, "ChromaError"),
    errors.LimitExceeded: (422, "ChromaError"),
    errors.Busy: (429, "Backoff"),
    errors.Unavailable: (503, "ChromaError"),
    errors.StorageFull: (507, "ChromaError"),
    errors.Corrupt: (500, "InternalError"),
    errors.UnsupportedFormat: (500, "InternalError"),
    errors.InternalError: (500, "InternalError"),
    UnsupportedMediaType: (415, "ChromaError"),
    TooSlow: (408, "ChromaError"),
    InvalidCollection: (400, "InvalidCollection"),
    InvalidDimension: (400, "InvalidDimension"),
    InvalidId: (400, "InvalidUUID"),
    UniqueConstraint: (409, "UniqueConstraintError"),
}

_RETRYABLE = frozenset({429, 503})
# The rest of the request's body may still arrive: it must not be read as the next request.
_BODY_UNREAD = frozenset({408, 413, 415})


def forbidden() -> errors.Forbidden:
    """The error for a caller without the permission; its text is the same whatever exists."""
    return errors.Forbidden("Forbidden: the credentials do not allow this")


def new_trace_id(system: System) -> str:
    """128 random bits in hex."""
    return f"{system.random.getrandbits(128):032x}"


def trace_header(trace_id: str) -> tuple[bytes, bytes]:
    """The header that links a response to the log."""
    return TRACE_HEADER, trace_id.encode()


def client_error(error: errors.AfterglowError, method: str, path: str, trace_id: str) -> Response:
    """The response to an error of ours that `TABLE` lists; logs it."""
    status, name = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    level = logging.INFO
    if status >= 500:
        level = logging.WARNING if status in _RETRYABLE or status == 501 else logging.ERROR
    _log(level, method, path, trace_id, {"status": status, "error": type(error).__name__, "message": error.message})
    headers = [trace_header(trace_id)]
    if isinstance(error, errors.Busy | errors.Unavailable):
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()))
    if isinstance(error, errors.PositionExpired):
        headers.append((OLDEST_POSITION_HEADER, b"%d" % error.oldest))
    if isinstance(error, errors.Unauthenticated):
        headers.append((b"www-authenticate", b'Bearer, Basic realm="afterglow", charset="UTF-8"'))
    is_unread = status in _BODY_UNREAD and not isinstance(error, errors.ResponseTooLarge)
    if is_unread or isinstance(error, Overloaded):
        headers.append((b"connection", b"close"))
    return Response(_body(name, error.message), status, headers=headers)


def server_error(error: BaseException, method: str, path: str, trace_id: str) -> Response:
    """The response to an unexpected exception; logs the traceback."""
    lines = "".join(traceback.format_exception(error))
    _log(
        logging.ERROR,
        method,
        path,
        trace_id,
        {"status": 500, "error": type(error).__name__, "message": str(error), "traceback": lines},
    )
    message = f"an unexpected error occurred; see trace id {trace_id} in the server's log"
    return Response(_body("InternalError", message), 500, headers=[trace_header(trace_id)])


def _body(name: str, message: str) -> bytes:
    return orjson.dumps({"error": name, "message": message})


def _log(level: int, method: str, path: str, trace_id: str, details: dict[str, str | int]) -> None:
    if logger.isEnabledFor(level):
        line = {"event": "request failed", "method": method, "path": path, **details, "trace_id": trace_id}
        logger.log(level, "%s", orjson.dumps(line, default=str).decode())
