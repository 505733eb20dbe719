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
        "system.heartbeat",
        system.heartbeat,
        "System",
        "The server's clock",
        response=responses.Heartbeat,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/heartbeat",
        "system.heartbeat",
        system.heartbeat,
        "System",
        "The server's clock",
        response=responses.Heartbeat,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/healthcheck",
        "system.healthcheck",
        system.healthcheck,
        "System",
        "Check the stores (503: unavailable)",
        response=responses.Readiness,
        execution=Execution.DEDICATED_THREAD,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/version",
        "system.version",
        system.version,
        "System",
        "The version of the API",
        response=str,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/pre-flight-checks",
        "system.pre_flight_checks",
        system.pre_flight_checks,
        "System",
        "Limits of the server that clients read before they write",
        response=responses.PreFlight,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/auth/identity",
        "system.identity",
        system.identity,
        "System",
        "The caller's identity",
        response=responses.Identity,
        permission=Permission.AUTHENTICATED,
    ),
    Route(
        "POST",
        API + "/reset",
        "system.reset",
        system.reset,
        "System",
        "Delete all data, if the server allows it",
        response=bool,
        failures=(403, 507),
        permission=Permission.ADMIN,
    ),
)
