"""The routes of the server itself."""

from afterglow.api import responses
from afterglow.api.http.route import Route, Runs
from afterglow.api.v2 import system
from afterglow.api.v2.routes.paths import API
from afterglow.auth import Need

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        API,
        system.heartbeat,
        "System",
        "The server's clock",
        response=responses.Heartbeat,
        runs=Runs.AT_ONCE,
        need=Need.PUBLIC,
    ),
    Route(
        "GET",
        API + "/heartbeat",
        system.heartbeat,
        "System",
        "The server's clock",
        response=responses.Heartbeat,
        runs=Runs.AT_ONCE,
        need=Need.PUBLIC,
    ),
    Route(
        "GET",
        API + "/healthcheck",
        system.healthcheck,
        "System",
        "Whether the stores answer (503: they do not)",
        response=responses.Readiness,
        runs=Runs.ASIDE,
        need=Need.PUBLIC,
    ),
    Route(
        "GET",
        API + "/version",
        system.version,
        "System",
        "The version of the API",
        response=str,
        runs=Runs.AT_ONCE,
        need=Need.PUBLIC,
    ),
    Route(
        "GET",
        API + "/pre-flight-checks",
        system.pre_flight_checks,
        "System",
        "What clients must know before they write",
        response=responses.PreFlight,
        runs=Runs.AT_ONCE,
        need=Need.PUBLIC,
    ),
    Route(
        "GET",
        API + "/auth/identity",
        system.identity,
        "System",
        "Who the caller is",
        response=responses.Identity,
        need=Need.KNOWN,
    ),
    Route(
        "POST",
        API + "/reset",
        system.reset,
        "System",
        "Delete everything, where the server was started so",
        response=bool,
        failures=(403, 507),
        need=Need.ADMIN,
    ),
)
