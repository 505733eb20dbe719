"""What a request used, for the client and for the log of requests.

An application that is metered answers each request with a header like

    afterglow-usage: dynamodb.Query=1, s3.GetObject=2, read-units=1, write-units=0, bytes-read=4096, bytes-written=0

first the calls to AWS by name, in alphabetical order, where there were any; then DynamoDB's request units and the bytes
that S3 sent and was sent, always; but not with a refusal (4xx), where they would tell how large a thing is that is said
not to be there. For the log the request notes its `operation`, `collection`, `rows` (records written,
deleted or answered), `queries` and `status`, each where there is one.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from afterglow.metering import Usage, collect_usage, current_usage

HEADER = b"afterglow-usage"


class UsageMiddleware:
    """Measures each request, unless something outside measures already: then what it uses counts there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        usage = current_usage()
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif usage is not None:
            await self.app(scope, receive, _reporting(usage, send))
        else:
            with collect_usage() as usage:
                await self.app(scope, receive, _reporting(usage, send))


def note(**facts: str | int) -> None:
    """Note facts for the log of requests, where there is one."""
    usage = current_usage()
    if usage is not None:
        usage.attributes.update(facts)


def format_usage(usage: Usage, *, refused: bool = False) -> str:
    """The header's value."""
    calls = dict(sorted(usage.calls.items()))
    figures = {
        "read-units": usage.read_units,
        "write-units": usage.write_units,
        "bytes-read": usage.bytes_read,
        "bytes-written": usage.bytes_written,
    }
    told = calls if refused else calls | figures
    return ", ".join(f"{name}={_plain(figure)}" for name, figure in told.items())


def _plain(figure: float) -> str:
    return str(int(figure)) if figure == int(figure) else str(figure)


def _reporting(usage: Usage, send: Send) -> Send:
    async def reporting(message: Message) -> None:
        if message["type"] == "http.response.start":
            status = usage.attributes["status"] = message["status"]
            told = format_usage(usage, refused=400 <= status < 500)
            message["headers"] = [*message["headers"], (HEADER, told.encode())]
        await send(message)

    return reporting
