"""The routes of a database's imports."""

from afterglow.api import responses
from afterglow.api.http.request_params import PAGE
from afterglow.api.http.route import Route
from afterglow.api.v2 import imports
from afterglow.api.v2.routes.paths import DATABASE
from afterglow.auth import Permission

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        DATABASE + "/imports",
        imports.list_all,
        "Imports",
        "A database's imports, the one last begun first",
        response=list[responses.Import],
        failures=(400,),
        query=PAGE,
        permission=Permission.READ,
    ),
    Route(
        "GET",
        DATABASE + "/imports/{import_id}",
        imports.get,
        "Imports",
        "How an import ended, or stands",
        response=responses.Import,
        failures=(400, 404),
        permission=Permission.READ,
    ),
    Route(
        "GET",
        DATABASE + "/imports/{import_id}/errors",
        imports.errors,
        "Imports",
        "The rows of an import that were not taken",
        response=list[responses.RejectedRow],
        failures=(400, 404),
        query=PAGE,
        permission=Permission.READ,
    ),
)
