"""Every error as the client sees it: status, Chroma's name for it, text, `chroma-trace-id`. And as the log sees it.

`TABLE` is the one place where kinds of error become statuses. What is not in it is a fault of ours: 500, logged with
its traceback under the trace id that the client is given, and nothing of it told to the client.
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


class UnsupportedMediaType(errors.AfterglowError):
    """The body is declared to be something other than JSON."""


class TooSlow(errors.AfterglowError):
    """The body did not arrive in time."""


class ResponseTooLarge(errors.TooLarge):
    """The request was good, but its answer is larger than can be sent."""


class InvalidCollection(errors.NotFound):
    """v1: there is no such collection."""


class InvalidDimension(errors.InvalidArgument):
    """v1: a vector of another dimension than the collection's."""


class InvalidId(errors.InvalidArgument):
    """v1: the id of a collection is not a UUID."""


class UniqueConstraint(errors.AlreadyExists):
    """v1: the name is taken."""


TABLE: dict[type[errors.AfterglowError], tuple[int, str]] = {
    errors.InvalidArgument: (400, "InvalidArgumentError"),
    errors.WrongDimension: (400, "InvalidArgumentError"),
    errors.InvalidBody: (422, "ChromaError"),
    errors.NotFound: (404, "NotFoundError"),
    errors.AlreadyExists: (409, "ChromaError"),
    errors.Unauthenticated: (401, "AuthError"),
    errors.PermissionDenied: (403, "ChromaError"),
    errors.Forbidden: (403, "AuthError"),
    errors.Unimplemented: (501, "ChromaError"),
    errors.TooLarge: (413, "ChromaError"),
    errors.Busy: (429, "ChromaError"),
    errors.Unavailable: (503, "ChromaError"),
    errors.StorageFull: (507, "ChromaError"),
    errors.Corrupt: (500, "InternalError"),
    errors.InternalError: (500, "InternalError"),
    UnsupportedMediaType: (415, "ChromaError"),
    TooSlow: (408, "ChromaError"),
    InvalidCollection: (400, "InvalidCollection"),
    InvalidDimension: (400, "InvalidDimension"),
    InvalidId: (400, "InvalidUUID"),
    UniqueConstraint: (409, "UniqueConstraintError"),
}

_RETRY_IS_ENOUGH = frozenset({429, 503})
# The rest of the request's body may still be on its way: it must not be read as the next request.
_BODY_UNREAD = frozenset({408, 413, 415})


def new_trace_id(system: System) -> str:
    """128 random bits in hex."""
    return f"{system.random.getrandbits(128):032x}"


def trace_header(trace_id: str) -> tuple[bytes, bytes]:
    """The header that names an error to whoever reads the log."""
    return TRACE_HEADER, trace_id.encode()


def client_error(error: errors.AfterglowError, method: str, path: str, trace_id: str) -> Response:
    """The answer to an error raised on purpose; logs it."""
    status, name = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    level = logging.INFO
    if status >= 500:
        level = logging.WARNING if status in _RETRY_IS_ENOUGH or status == 501 else logging.ERROR
    _log(level, method, path, trace_id, {"status": status, "error": type(error).__name__, "message": error.message})
    headers = [trace_header(trace_id)]
    if isinstance(error, errors.Busy | errors.Unavailable):
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()))
    if isinstance(error, errors.Unauthenticated):
        headers.append((b"www-authenticate", b'Bearer, Basic realm="afterglow", charset="UTF-8"'))
    if status in _BODY_UNREAD and not isinstance(error, ResponseTooLarge):
        headers.append((b"connection", b"close"))
    return Response(_body(name, error.message), status, headers=headers)


def server_error(error: BaseException, method: str, path: str, trace_id: str) -> Response:
    """The answer to a fault of ours; logs the traceback."""
    lines = "".join(traceback.format_exception(error))
    _log(
        logging.ERROR,
        method,
        path,
        trace_id,
        {"status": 500, "error": type(error).__name__, "message": str(error), "traceback": lines},
    )
    message = f"an unexpected error occurred; the server's log has it under trace id {trace_id}"
    return Response(_body("InternalError", message), 500, headers=[trace_header(trace_id)])


def _body(name: str, message: str) -> bytes:
    return orjson.dumps({"error": name, "message": message})


def _log(level: int, method: str, path: str, trace_id: str, what: dict[str, str | int]) -> None:
    if logger.isEnabledFor(level):
        line = {"event": "request failed", "method": method, "path": path, **what, "trace_id": trace_id}
        logger.log(level, "%s", orjson.dumps(line, default=str).decode())
