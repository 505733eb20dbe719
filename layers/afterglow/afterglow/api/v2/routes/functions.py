"""The routes of attached functions, which are not served."""

from afterglow.api import models, responses
from afterglow.api.http.route import Execution, Route
from afterglow.api.v2 import not_implemented
from afterglow.api.v2.routes.paths import COLLECTION
from afterglow.auth import Permission

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        COLLECTION + "/functions/attach",
        not_implemented.attach_function,
        "Functions",
        "Run a function over what is written (not served)",
        models.AttachFunction,
        responses.ErrorResponse,
        success=501,
        failures=(400, 404),
        permission=Permission.WRITE,
    ),
    Route(
        "GET",
        COLLECTION + "/functions/{function_name}",
        not_implemented.get_function,
        "Functions",
        "An attached function: there is none",
        response=responses.ErrorResponse,
        success=404,
        failures=(400,),
        runs=Execution.AT_ONCE,
        permission=Permission.READ,
    ),
    Route(
        "POST",
        COLLECTION + "/attached_functions/{function_name}/detach",
        not_implemented.detach_function,
        "Functions",
        "Stop a function (not served)",
        models.DetachFunction,
        responses.ErrorResponse,
        success=501,
        failures=(400, 404),
        permission=Permission.WRITE,
    ),
)
