"""The routes of a database's imports."""

from typing import TYPE_CHECKING

from afterglow.api.http.late import late
from afterglow.api.http.request_params import PAGE_PARAMETERS
from afterglow.api.http.route import Route
from afterglow.api.v2.routes.paths import DATABASE
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import responses
    from afterglow.api.v2 import imports
else:
    responses = late("afterglow.api.responses")
    imports = late("afterglow.api.v2.imports")

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        DATABASE + "/imports",
        "imports.list_all",
        imports.list_all,
        "Imports",
        "List a database's imports, latest first",
        response=list[responses.Import],
        failures=(400,),
        query=PAGE_PARAMETERS,
        permission=Permission.READ,
    ),
    Route(
        "GET",
        DATABASE + "/imports/{import_id}",
        "imports.get",
        imports.get,
        "Imports",
        "Get the report of an import",
        response=responses.Import,
        failures=(400, 404),
        permission=Permission.READ,
    ),
    Route(
        "GET",
        DATABASE + "/imports/{import_id}/errors",
        "imports.errors",
        imports.errors,
        "Imports",
        "List the rejected rows of an import",
        response=list[responses.RejectedRow],
        failures=(400, 404),
        query=PAGE_PARAMETERS,
        permission=Permission.READ,
    ),
)
