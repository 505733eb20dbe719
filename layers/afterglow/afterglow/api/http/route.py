"""What the server knows of one route: how to serve it, and what to say of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.auth import Permission

Handler = Callable[[AppContext, Request], Response | Deferred]
Place = Callable[[Request], tuple[str | None, str | None]]
"""The tenant and the database that a request is about, None for each that it does not name. Raises InvalidArgument."""


def of_path(call: Request) -> tuple[str | None, str | None]:
    """The tenant and the database that the path names."""
    return (
        call.path_part("tenant") if "tenant" in call.path else None,
        call.path_part("database") if "database" in call.path else None,
    )


class Execution(Enum):
    """Where a handler runs."""

    THREAD_POOL = "pool"
    """In the pool of threads: whatever reads or writes the stores."""
    DEDICATED_THREAD = "aside"
    """In a thread of its own, so that it answers while the pool is busy."""
    AT_ONCE = "at once"
    """On the event loop: what needs no more than the process knows."""
    BY_WEIGHT = "by weight"
    """Begins on the event loop; what is not over in about a millisecond goes to the pool, as a `Later`."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    `request` and `response` are pydantic models or other types; None for a request means that no body is read, for a
    response an answer without a schema. `need` is what its caller must be allowed to do, and `place` where: a route
    without a need cannot be declared, and one whose place is None, as the handler is yet to find it, must ask
    `call.grant` itself. `failures` are the statuses besides `success` and those every route may answer.
    `query` names the parameters of the query string, with their JSON schemas. `hidden` keeps it out of OpenAPI.
    """

    method: str
    path: str
    handler: Handler
    tag: str
    summary: str
    request: Any = None
    response: Any = None
    success: int = 200
    failures: tuple[int, ...] = ()
    query: tuple[tuple[str, dict[str, Any]], ...] = ()
    runs: Execution = Execution.THREAD_POOL
    permission: Permission = field(kw_only=True)
    scope_of: Place | None = of_path
    hidden: bool = False

    @property
    def operation(self) -> str:
        """Its name in logs: the handler's, after its module's within the API."""
        return f"{self.handler.__module__.removeprefix('afterglow.api.')}.{self.handler.__name__}"
