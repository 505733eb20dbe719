"""The arguments and the result of a handler."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote
from uuid import UUID

from afterglow.auth import ANONYMOUS, Grant
from afterglow.auth.authenticator import Authenticator
from afterglow.errors import InvalidArgument
from afterglow.settings import Settings, System

if TYPE_CHECKING:
    from afterglow.collection import Engine


@dataclass(frozen=True, slots=True)
class AppContext:
    """The engine behind the routes, and the configuration of the process.

    `threads` is the default of a collection's `num_threads`. Without an `authenticator` every caller has full access.
    `reported_collections` are those that this process has already reported in its log for their embedding function.
    """

    engine: "Engine"
    settings: Settings
    system: System
    allow_reset: bool
    threads: int
    authenticator: Authenticator | None = None
    metrics: Callable[[], bytes] | None = None
    """The metrics of the process as text, if it has any."""
    checks: tuple[Callable[[], str | None], ...] = ()
    """Checks of readiness besides the stores: each returns what is wrong, or None."""
    reported_collections: set[UUID] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Request:
    """One request: percent-encoded path parameters, the raw query string and the body.

    Header names are in lower case; the last of several headers of one name wins.
    """

    path: dict[str, str]
    query: bytes = b""
    body: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    grant: Grant = ANONYMOUS
    """The caller's permissions. The route's is checked already; a handler checks the scopes that it finds itself."""

    def path_part(self, name: str) -> str:
        """A path parameter, decoded. Raises InvalidArgument if it is not UTF-8."""
        text = self.path[name]
        if "%" not in text:
            return text
        try:
            return unquote(text, errors="strict")
        except UnicodeDecodeError:
            raise InvalidArgument(f"Invalid URL: {name} is not valid UTF-8: {text}") from None


@dataclass(frozen=True, slots=True)
class Response:
    """A response. A `status` of None means the route's own."""

    body: bytes
    status: int | None = None
    content_type: bytes = b"application/json"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    delay_seconds: float = 0.0
    """How long the response waits before it is sent."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """The rest of a handler, to run in the thread pool. `work` raises the handler's errors.

    With `embeds` it waits for an embedding model, and runs in a pool of its own instead.
    """

    work: Callable[[], Response]
    embeds: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """Pages of something that grows, for a response that may wait for the next (`api.http.feed`).

    `first` is the page at the start. `read` returns the next one, None if there is nothing new yet; it raises the
    handler's errors. `wait_seconds` is how long the response may wait for one, or how long a stream lasts.
    """

    first: Response
    read: Callable[[], Response | None]
    wait_seconds: float
    is_stream: bool
