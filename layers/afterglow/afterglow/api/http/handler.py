"""What a handler is given, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from afterglow.auth import NOBODY, Grant
from afterglow.auth.authenticator import Gate
from afterglow.errors import InvalidArgument
from afterglow.settings import Ambient, Settings

if TYPE_CHECKING:
    from afterglow.collection import Engine


@dataclass(frozen=True, slots=True)
class Service:
    """The engine behind the routes, and what the process was told. `threads` is the default of `num_threads`.

    Without a `gate` everybody may do everything.
    """

    engine: "Engine"
    settings: Settings
    ambient: Ambient
    allow_reset: bool
    threads: int
    gate: Gate | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the path's parts still percent-encoded, the query string and the body as they came.

    Of headers of one name the last is kept; names are in lower case.
    """

    path: dict[str, str]
    query: bytes = b""
    body: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    grant: Grant = NOBODY
    """What the caller may do. The route's need was checked; what a handler finds by itself it checks with this."""

    def part(self, name: str) -> str:
        """A part of the path, decoded. Raises InvalidArgument when it is not UTF-8."""
        text = self.path[name]
        if "%" not in text:
            return text
        try:
            return unquote(text, errors="strict")
        except UnicodeDecodeError:
            raise InvalidArgument(f"Invalid URL: {name} is not valid UTF-8: {text}") from None


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: JSON unless `content_type` says otherwise; `status` None means the route's own."""

    body: bytes
    status: int | None = None
    content_type: bytes = b"application/json"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Later:
    """The rest of a handler, for a thread of the pool. Raises what the handler would."""

    work: Callable[[], Answer]
