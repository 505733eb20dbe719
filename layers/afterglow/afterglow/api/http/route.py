"""One route of the server: how to serve it, and how the OpenAPI document describes it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

from afterglow.api.http.handler import AppContext, Deferred, Feed, Request, Response
from afterglow.api.http.late import load
from afterglow.auth import Permission
from afterglow.settings import Settings

HEALTHCHECK = "system.healthcheck"
"""The operation that never requires a credential, because load balancers have none."""

RecordHandler = Callable[[AppContext, Request], Response | Deferred]
Handler = Callable[[AppContext, Request], Response | Deferred | Feed]
ScopeResolver = Callable[[Request], tuple[str | None, str | None]]
"""Returns the tenant and the database of a request, None for each that it does not name. Raises InvalidArgument."""


def path_scope(request: Request) -> tuple[str | None, str | None]:
    """The tenant and the database in the path."""
    return (
        request.path_part("tenant") if "tenant" in request.path else None,
        request.path_part("database") if "database" in request.path else None,
    )


class Execution(Enum):
    """Where a handler runs."""

    THREAD_POOL = "thread pool"
    """In the thread pool: every handler that reads or writes the stores."""
    DEDICATED_THREAD = "dedicated thread"
    """In a thread of its own, so that it responds while the pool is busy."""
    EMBEDDING = "embedding"
    """In threads that may wait for an embedding model, so that no other request waits for a thread."""
    EVENT_LOOP = "event loop"
    """On the event loop: handlers that need no store."""
    ADAPTIVE = "adaptive"
    """On the event loop first; work of more than about a millisecond continues in the thread pool, as a `Deferred`."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    `operation` is the stable name of the route in request logs, usage attributes and the OpenAPI document's
    `operationId`s. `request` and `response` are pydantic models or other types; a request of None means that the body
    is not read, a response of None that it has no schema. Functions and types may be stand-ins (`api.http.late`).
    `permission` is what the caller needs, `scope_of` resolves
    the tenant and the database it is needed for: a route without a permission cannot be declared, and the handler of a
    route without a `scope_of` must check `request.grant` once it has found the scope. `read_only` is the handler for
    callers with the permission READ alone, which must not write; without one they are refused. `restricted` is the
    handler for callers whose key has filters, and with it `read_only` is for those who must not write; without one they
    are refused. `failures` are the
    statuses other than `success` and those that every route can return. `query` holds the parameters of the query
    string with their JSON schemas, and with `strict_query` any other one is refused. `content_types` are those of the
    response. `hidden` omits the route from the OpenAPI document.
    """

    method: str
    path: str
    operation: str
    handler: Handler
    tag: str
    summary: str
    request: Any = None
    response: Any = None
    success: int = 200
    failures: tuple[int, ...] = ()
    query: tuple[tuple[str, dict[str, Any]], ...] = ()
    content_types: tuple[str, ...] = ("application/json",)
    execution: Execution = Execution.THREAD_POOL
    permission: Permission = field(kw_only=True)
    scope_of: ScopeResolver | None = path_scope
    read_only: Handler | None = None
    restricted: Handler | None = None
    hidden: bool = False
    strict_query: bool = False

    def loaded(self) -> "Route":
        """The route with functions and types in place of stand-ins."""
        loaded = {field.name: load(getattr(self, field.name)) for field in fields(self)}
        return replace(self, **loaded)


def served_routes(routes: Iterable[Route], settings: Settings) -> list[Route]:
    """The routes with the permissions that apply under these settings."""
    if not settings.auth_system_routes:
        return list(routes)
    return [
        replace(route, permission=Permission.AUTHENTICATED, restricted=route.handler)
        if route.permission is Permission.PUBLIC and route.operation != HEALTHCHECK
        else route
        for route in routes
    ]
