"""The routes of attached functions, which are not implemented."""

from afterglow.api import models, responses
from afterglow.api.http.route import Execution, Route
from afterglow.api.v2 import not_implemented
from afterglow.api.v2.routes.paths import COLLECTION
from afterglow.auth import Permission

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        COLLECTION + "/functions/attach",
        "functions.attach",
        not_implemented.attach_function,
        "Functions",
        "Attach a function (not implemented)",
        models.AttachFunction,
        responses.ErrorResponse,
        success=501,
        failures=(400, 404),
        permission=Permission.WRITE,
    ),
    Route(
        "GET",
        COLLECTION + "/functions/{function_name}",
        "functions.get",
        not_implemented.get_function,
        "Functions",
        "Get an attached function (always 404)",
        response=responses.ErrorResponse,
        success=404,
        failures=(400,),
        execution=Execution.EVENT_LOOP,
        permission=Permission.READ,
    ),
    Route(
        "POST",
        COLLECTION + "/attached_functions/{function_name}/detach",
        "functions.detach",
        not_implemented.detach_function,
        "Functions",
        "Detach a function (not implemented)",
        models.DetachFunction,
        responses.ErrorResponse,
        success=501,
        failures=(400, 404),
        permission=Permission.WRITE,
    ),
)
