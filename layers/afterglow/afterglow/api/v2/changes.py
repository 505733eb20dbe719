"""Handler of the changes of a collection: JSON lines or server-sent events, from any position on."""

import re
from dataclasses import dataclass, field

from afterglow.api.http import feed, request_params
from afterglow.api.http.handler import AppContext, Feed, Request, Response
from afterglow.api.http.usage_header import add_attributes
from afterglow.collection.changes import position as positions
from afterglow.collection.changes.position import ChangePosition
from afterglow.collection.changes.reader import ChangePage
from afterglow.collection.types import Scope
from afterglow.errors import InvalidArgument
from afterglow.metering import phase

PAGE_BYTES = 8 * 1024 * 1024
EVENT_PAGE_BYTES = 1024 * 1024
"""A stream sends smaller pages, as it waits for its client with one in memory."""
NEXT_POSITION_HEADER = b"afterglow-next-position"
_NDJSON = b"application/x-ndjson"
_RETRY = b"retry: 2000\n\n"
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)


def changes(context: AppContext, request: Request) -> Response | Feed:
    """What was written to a collection, in order."""
    is_stream = feed.EVENT_STREAM in request.headers.get(b"accept", b"")
    reader = _Reader(context, request_params.scope(request), *_parameters(request, is_stream=is_stream), is_stream)
    wait_seconds = _wait_seconds(request)
    first = reader.render(reader.read())
    if is_stream:
        opening = Response(_RETRY + first.body, content_type=first.content_type, headers=first.headers)
        return Feed(opening, reader.next_page, feed.STREAM_SECONDS, is_stream=True)
    if first.body or not wait_seconds or not reader.limit:
        return first
    return Feed(first, reader.next_page, wait_seconds, is_stream=False)


@dataclass(slots=True)
class _Reader:
    """Reads one page after another; `after` is the position reached."""

    context: AppContext
    scope: Scope
    after: ChangePosition
    limit: int
    is_stream: bool
    rows: int = field(default=0, init=False)

    def read(self) -> ChangePage:
        """The next page. Raises the errors of `Engine.changes`."""
        max_bytes = EVENT_PAGE_BYTES if self.is_stream else PAGE_BYTES
        if self.context.settings.max_response_bytes:
            # Quotes double in the envelope of a function's response.
            max_bytes = min(max_bytes, self.context.settings.max_response_bytes // 2)
        with phase("handle"):
            page = self.context.engine.changes(self.scope, self.after, self.limit, max_bytes)
        self.after = page.next
        self.rows += sum(line.records for line in page.lines)
        add_attributes(rows=self.rows)
        return page

    def render(self, page: ChangePage) -> Response:
        """The page as a response."""
        headers = [(NEXT_POSITION_HEADER, str(page.next).encode())]
        if self.is_stream:
            body = b"".join(feed.encode_event(str(line.next), line.content) for line in page.lines)
            return Response(body, content_type=feed.EVENT_STREAM, headers=headers)
        body = b"".join(line.content + b"\n" for line in page.lines)
        return Response(body, content_type=_NDJSON, headers=headers)

    def next_page(self) -> Response | None:
        """The next page as a response, None if it is empty."""
        page = self.read()
        return self.render(page) if page.lines else None


def _parameters(request: Request, *, is_stream: bool) -> tuple[ChangePosition, int]:
    """The position and the limit. Raises InvalidArgument."""
    text = request_params.query_field(request, "after")
    if is_stream:
        # What a client sends that reconnects to the stream.
        last = request.headers.get(b"last-event-id")
        text = text if last is None else last.decode("latin-1")
    limit = request_params.limit_and_offset(request)[0]
    after = ChangePosition(0) if text is None else positions.parse(text)
    return after, request_params.DEFAULT_LINES if limit is None else min(limit, request_params.MAX_LINES)


def _wait_seconds(request: Request) -> float:
    text = request_params.query_field(request, "wait")
    if text is None:
        return 0.0
    if _SECONDS.fullmatch(text) is None or float(text) > request_params.MAX_WAIT_SECONDS:
        raise InvalidArgument(
            f"wait: {text[:100]!r} is not a number of seconds from 0 to {request_params.MAX_WAIT_SECONDS}"
        )
    return float(text)
