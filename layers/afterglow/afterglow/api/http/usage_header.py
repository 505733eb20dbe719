"""The resource usage of a request, for the client (a response header) and for the request log.

An application that reports usage adds a header to each response:

    afterglow-usage: dynamodb.Query=1, s3.GetObject=2, read-units=1, write-units=0, bytes-read=4096, bytes-written=0

First the number of AWS API calls by name, in alphabetical order, if any; then always DynamoDB's request units and the
bytes read from and written to S3. Refusals (4xx) omit the units and bytes, because they would reveal the size of
something that the response claims not to exist; for the same reason, a caller whose key has filters gets no header. For
the request log, the usage attributes hold `operation`, `collection`, `rows` (records written, deleted or returned),
`queries` and `status`, each only if it applies.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterglow.metering import Usage, collect_usage, current_usage

HEADER = b"afterglow-usage"
RESTRICTED = "restricted"
"""The attribute of a request whose caller has a key with filters: it gets no header."""


class UsageMiddleware:
    """Collects the usage of each request; if a caller outside already collects, the usage counts there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        usage = current_usage()
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif usage is not None:
            await self.app(scope, receive, _send_with_usage(usage, send))
        else:
            with collect_usage() as usage:
                await self.app(scope, receive, _send_with_usage(usage, send))


def add_attributes(**attributes: str | int) -> None:
    """Add attributes for the request log, if usage is collected."""
    usage = current_usage()
    if usage is not None:
        usage.attributes.update(attributes)


def format_usage(usage: Usage, *, refused: bool = False) -> str:
    """The header's value."""
    calls = dict(sorted(usage.calls.items()))
    totals = {
        "read-units": usage.read_units,
        "write-units": usage.write_units,
        "bytes-read": usage.bytes_read,
        "bytes-written": usage.bytes_written,
    }
    figures = calls if refused else calls | totals
    return ", ".join(f"{name}={_format_number(figure)}" for name, figure in figures.items())


def _format_number(figure: float) -> str:
    return str(int(figure)) if figure == int(figure) else str(figure)


def _send_with_usage(usage: Usage, send: Send) -> Send:
    async def send_with_usage(message: Message) -> None:
        if message["type"] == "http.response.start":
            status = usage.attributes["status"] = message["status"]
            if RESTRICTED not in usage.attributes:
                value = format_usage(usage, refused=400 <= status < 500)
                message["headers"] = [*message["headers"], (HEADER, value.encode())]
        await send(message)

    return send_with_usage
