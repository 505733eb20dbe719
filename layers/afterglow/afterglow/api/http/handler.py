"""What a handler is given, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from afterglow.auth import ANONYMOUS, Grant
from afterglow.auth.authenticator import Authenticator
from afterglow.errors import InvalidArgument
from afterglow.settings import Settings, System

if TYPE_CHECKING:
    from afterglow.collection import Engine


@dataclass(frozen=True, slots=True)
class AppContext:
    """The engine behind the routes, and what the process was told. `threads` is the default of `num_threads`.

    Without a `gate` everybody may do everything.
    """

    engine: "Engine"
    settings: Settings
    system: System
    allow_reset: bool
    threads: int
    authenticator: Authenticator | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request: the path's parts still percent-encoded, the query string and the body as they came.

    Of headers of one name the last is kept; names are in lower case.
    """

    path: dict[str, str]
    query: bytes = b""
    body: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    grant: Grant = ANONYMOUS
    """What the caller may do. The route's need was checked; what a handler finds by itself it checks with this."""

    def path_part(self, name: str) -> str:
        """A part of the path, decoded. Raises InvalidArgument when it is not UTF-8."""
        text = self.path[name]
        if "%" not in text:
            return text
        try:
            return unquote(text, errors="strict")
        except UnicodeDecodeError:
            raise InvalidArgument(f"Invalid URL: {name} is not valid UTF-8: {text}") from None


@dataclass(frozen=True, slots=True)
class Response:
    """A response: JSON unless `content_type` says otherwise; `status` None means the route's own."""

    body: bytes
    status: int | None = None
    content_type: bytes = b"application/json"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Deferred:
    """The rest of a handler, for a thread of the pool. Raises what the handler would."""

    work: Callable[[], Response]
