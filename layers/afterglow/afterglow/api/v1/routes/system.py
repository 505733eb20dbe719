"""The v1 routes of the server itself."""

from typing import TYPE_CHECKING

from afterglow.api.http.late import late
from afterglow.api.http.route import Execution, Route
from afterglow.api.v1.routes.paths import API, TAG
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import responses
    from afterglow.api.v1 import responses as v1_responses
    from afterglow.api.v1 import system
else:
    responses = late("afterglow.api.responses")
    system = late("afterglow.api.v1.system")
    v1_responses = late("afterglow.api.v1.responses")

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        API,
        "v1.system.heartbeat",
        system.heartbeat,
        TAG,
        "The server's clock",
        response=responses.Heartbeat,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/heartbeat",
        "v1.system.heartbeat",
        system.heartbeat,
        TAG,
        "The server's clock",
        response=responses.Heartbeat,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/version",
        "v1.system.version",
        system.version,
        TAG,
        "The last version of Chroma that served v1 alone",
        response=str,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/pre-flight-checks",
        "v1.system.pre_flight_checks",
        system.pre_flight_checks,
        TAG,
        "Limits of the server that clients read before they write",
        response=v1_responses.V1PreFlight,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "POST",
        API + "/reset",
        "v1.system.reset",
        system.reset,
        TAG,
        "Delete all data, if the server allows it",
        response=bool,
        failures=(403, 507),
        permission=Permission.ADMIN,
    ),
)
