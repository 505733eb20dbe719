"""The route of reports of erasures."""

from afterglow.api import responses
from afterglow.api.http.route import Route
from afterglow.api.v2 import erasures
from afterglow.api.v2.routes.paths import COLLECTION
from afterglow.auth import Permission

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
