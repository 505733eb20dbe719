"""The routes of the server itself."""

from afterglow.api import responses
from afterglow.api.http.route import Execution, Route
from afterglow.api.v2 import system
from afterglow.api.v2.routes.paths import API
from afterglow.auth import Permission

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        API,
        system.heartbeat,
        "System",
        "The server's clock",
        response=responses.Heartbeat,
        runs=Execution.AT_ONCE,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/heartbeat",
        system.heartbeat,
        "System",
        "The server's clock",
        response=responses.Heartbeat,
        runs=Execution.AT_ONCE,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/healthcheck",
        system.healthcheck,
        "System",
        "Whether the stores answer (503: they do not)",
        response=responses.Readiness,
        runs=Execution.DEDICATED_THREAD,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/version",
        system.version,
        "System",
        "The version of the API",
        response=str,
        runs=Execution.AT_ONCE,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/pre-flight-checks",
        system.pre_flight_checks,
        "System",
        "What clients must know before they write",
        response=responses.PreFlight,
        runs=Execution.AT_ONCE,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/auth/identity",
        system.identity,
        "System",
        "Who the caller is",
        response=responses.Identity,
        permission=Permission.AUTHENTICATED,
    ),
    Route(
        "POST",
        API + "/reset",
        system.reset,
        "System",
        "Delete everything, where the server was started so",
        response=bool,
        failures=(403, 507),
        permission=Permission.ADMIN,
    ),
)
