"""An ASGI application as the handler of a Lambda function, for events of an HTTP API or a function URL (format 2.0).

Mangum runs the application on one event loop for the life of the container, without a lifespan. The translation of
events is our own, because Mangum loses two things: the path as it was sent, and compressed bodies.

Paths: a function URL passes `rawPath` on as it was sent. An HTTP API decodes everything in it but `%25`, so a name with
an encoded slash works with a function URL only. Both are correct after one more decoding, part by part, as
`api.http.handler.Request.path_part` does.
"""

import asyncio
import base64
import logging
from typing import Any
from urllib.parse import quote, unquote

from mangum import Mangum
from mangum.types import LambdaConfig, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from afterglow.api.http import errors
from afterglow.api.http.delivery import send_response
from afterglow.deadline import time_limit
from afterglow.errors import InvalidArgument
from afterglow.metering import current_usage
from afterglow.settings import System

DEFAULT_SECONDS = 29.0
"""The timeout of the function in the template; the gateway waits for 30 seconds."""
ANSWER_SECONDS = 4.0
"""Reserved for the answer: loading ends before, and the request gets 503."""
# The gateway manages the connection to the client itself.
_HOP_BY_HOP = b"connection"
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class HttpFunction:
    """The handler. Raises InvalidArgument for an event that is not a request; any other error is a response 500."""

    def __init__(self, app: ASGIApp, system: System) -> None:
        self._system = system
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._mangum = Mangum(_ErrorBoundary(app, system), lifespan="off", custom_handlers=[_HttpEvent])
        # It would log a second line for every request.
        logging.getLogger("mangum.http").setLevel(logging.WARNING)

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Handle one request."""
        asyncio.set_event_loop(self._loop)
        with time_limit(_seconds_left(context), self._system.monotonic):
            return self._mangum(event, context)

    def close(self) -> None:
        """Close the event loop, for processes that create several handlers."""
        asyncio.set_event_loop(None)
        self._loop.close()


class _HttpEvent:
    """One event, as the handler interface of Mangum."""

    def __init__(self, event: dict[str, Any], context: Any, config: LambdaConfig) -> None:
        del config
        self._event = event
        self._context = context

    @classmethod
    def infer(cls, event: dict[str, Any], context: Any, config: LambdaConfig) -> bool:
        """Accept every event. Raises InvalidArgument for one that is not a request."""
        del context, config
        if event.get("version") != "2.0" or "http" not in event.get("requestContext", {}):
            raise InvalidArgument(
                "this function handles requests of an HTTP API with payload format 2.0, or of a function URL; "
                f"the event has version {event.get('version')!r} and the keys {', '.join(sorted(event)[:20])}"
            )
        return True

    @property
    def body(self) -> bytes:
        """The decoded body of the request."""
        body: str = self._event.get("body") or ""
        return base64.b64decode(body) if self._event.get("isBase64Encoded") else body.encode()

    @property
    def scope(self) -> Scope:
        """The request as an ASGI scope."""
        request = self._event["requestContext"]
        usage = current_usage()
        if usage is not None and "requestId" in request:
            usage.attributes["gateway_request_id"] = request["requestId"]
        raw: str = self._event["rawPath"] or "/"
        headers = {name.lower(): value for name, value in self._event.get("headers", {}).items()}
        return {
            "type": "http",
            "http_version": "1.1",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "method": request["http"]["method"],
            "path": unquote(raw),
            "raw_path": quote(raw, safe=_PRINTABLE).encode(),
            "root_path": "",
            "query_string": self._event.get("rawQueryString", "").encode(),
            "scheme": headers.get("x-forwarded-proto", "https"),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "server": (headers.get("host", request.get("domainName", "")), 443),
            "client": (request["http"].get("sourceIp", ""), 0),
            "aws.event": self._event,
            "aws.context": self._context,
        }

    def __call__(self, response: Response) -> dict[str, Any]:
        """The response in the format of Lambda."""
        headers = {bytes(name): bytes(value) for name, value in response["headers"] if name != _HOP_BY_HOP}
        text = None if b"content-encoding" in headers else _text(response["body"])
        return {
            "statusCode": response["status"],
            "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()},
            "body": base64.b64encode(response["body"]).decode() if text is None else text,
            "isBase64Encoded": text is None,
        }


def _seconds_left(context: Any) -> float:
    """Seconds for a request; outside of a function, without a context, as many as one has by default."""
    remaining = DEFAULT_SECONDS if context is None else float(context.get_remaining_time_in_millis()) / 1000
    return remaining - ANSWER_SECONDS


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


class _ErrorBoundary:
    """Responds with 500 if the application raises, with the same body and log line as any other 500."""

    def __init__(self, app: ASGIApp, system: System) -> None:
        self._app = app
        self._system = system

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the outermost frame: any error becomes a logged 500
            trace_id = errors.new_trace_id(self._system)
            await send_response(send, errors.server_error(error, scope["method"], scope["path"], trace_id), 500)
