"""The routes of the server itself."""

from typing import TYPE_CHECKING

from afterglow.api.http.late import late
from afterglow.api.http.route import HEALTHCHECK, Execution, Route
from afterglow.api.v2.routes.paths import API
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import models, responses
    from afterglow.api.v2 import embed, system
else:
    models = late("afterglow.api.models")
    responses = late("afterglow.api.responses")
    embed = late("afterglow.api.v2.embed")
    system = late("afterglow.api.v2.system")

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
        HEALTHCHECK,
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
        restricted=system.identity,
    ),
    Route(
        "POST",
        "/embed",
        "embed.embed",
        embed.embed,
        "System",
        "Embed texts by the server's own embedding function",
        models.EmbedTexts,
        list[list[float]],
        failures=(400, 429, 503),
        permission=Permission.AUTHENTICATED,
        restricted=embed.embed,
        scope_of=None,
    ),
    Route(
        "GET",
        "/health",
        "system.health",
        system.health,
        "System",
        "Whether the process serves requests",
        response=responses.Health,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        "/ready",
        "system.ready",
        system.ready,
        "System",
        "Whether requests would succeed (503: not now, with the problems)",
        response=responses.Ready,
        execution=Execution.DEDICATED_THREAD,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        "/metrics",
        "system.metrics",
        system.metrics,
        "System",
        "Metrics in Prometheus' text format; needs a key if authentication is on",
        hidden=True,
        execution=Execution.DEDICATED_THREAD,
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
