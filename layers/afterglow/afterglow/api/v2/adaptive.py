"""Reads that are answered on the event loop if they are cheap: the way to another thread costs more than they do.

1. A large body, or one whose filters are not small, is parsed and answered in the thread pool.
2. So is a read that may take more than about a millisecond.
3. Of a cheap one, records that are large are read and encoded in the thread pool.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from afterglow.api.http.handler import Deferred, Request, Response
from afterglow.errors import LimitExceeded

F = TypeVar("F")

_CHEAP_BODY_BYTES = 64 * 1024
"""A body of this size is parsed in less than a millisecond."""
_CHEAP_RESULT_BYTES = 512 * 1024
"""Records that take this memory are read and encoded in less than a millisecond."""


class Read(Protocol[F]):
    """A parsed read, whose records are found first, then read and encoded. Its methods raise the read's errors."""

    @property
    def embeds(self) -> bool:
        """Whether it waits for an embedding model."""

    def is_cheap(self) -> bool:
        """Whether `find` takes at most about a millisecond."""

    def find(self) -> F:
        """Find the records."""

    def byte_size(self, found: F) -> int:
        """The estimated size of the records."""

    def encode(self, found: F) -> Response:
        """Read the records and encode them."""

    def respond(self) -> Response:
        """All of it."""


def respond(
    request: Request, parse_cheap: Callable[[], Read[F]], parse: Callable[[], Read[F]], *, may_embed: bool = False
) -> Response | Deferred:
    """The response of a read. `parse_cheap` raises LimitExceeded for a body that takes long to parse.

    `may_embed`: a body that is not parsed yet may hold texts.
    """
    if len(request.body) > _CHEAP_BODY_BYTES:
        return Deferred(lambda: parse().respond(), may_embed)
    try:
        read = parse_cheap()
    except LimitExceeded:
        return Deferred(lambda: parse().respond(), may_embed)
    if not read.is_cheap():
        return Deferred(read.respond, read.embeds)
    found = read.find()
    return read.encode(found) if read.byte_size(found) <= _CHEAP_RESULT_BYTES else Deferred(lambda: read.encode(found))
