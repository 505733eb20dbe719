"""The route of reports of erasures."""

from typing import TYPE_CHECKING

from afterglow.api.http.late import late
from afterglow.api.http.route import Route
from afterglow.api.v2.routes.paths import COLLECTION
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import responses
    from afterglow.api.v2 import erasures
else:
    responses = late("afterglow.api.responses")
    erasures = late("afterglow.api.v2.erasures")

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        COLLECTION + "/erasures",
        "erasures.list",
        erasures.list_reports,
        "Records",
        "Get the reports of erasures that concern a collection",
        response=list[responses.ErasureReport],
        failures=(400, 404),
        permission=Permission.READ,
    ),
)
