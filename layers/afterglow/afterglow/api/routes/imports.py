"""The routes of a database's imports."""

from afterglow.access import Need
from afterglow.api import answers, imports
from afterglow.api.params import PAGE
from afterglow.api.route import Route
from afterglow.api.routes.paths import DATABASE

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        DATABASE + "/imports",
        imports.list_all,
        "Imports",
        "A database's imports, the one last begun first",
        response=list[answers.Import],
        failures=(400,),
        query=PAGE,
        need=Need.READ,
    ),
    Route(
        "GET",
        DATABASE + "/imports/{import_id}",
        imports.get,
        "Imports",
        "How an import ended, or stands",
        response=answers.Import,
        failures=(400, 404),
        need=Need.READ,
    ),
    Route(
        "GET",
        DATABASE + "/imports/{import_id}/errors",
        imports.errors,
        "Imports",
        "The rows of an import that were not taken",
        response=list[answers.RejectedRow],
        failures=(400, 404),
        query=PAGE,
        need=Need.READ,
    ),
)
