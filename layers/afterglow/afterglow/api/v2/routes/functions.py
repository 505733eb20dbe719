"""The routes of attached functions."""

from typing import TYPE_CHECKING

from afterglow.api.http.late import late
from afterglow.api.http.route import Route
from afterglow.api.v2.routes.paths import COLLECTION
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import models, responses
    from afterglow.api.v2 import functions
else:
    models = late("afterglow.api.models")
    responses = late("afterglow.api.responses")
    functions = late("afterglow.api.v2.functions")

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        COLLECTION + "/functions/attach",
        "functions.attach",
        functions.attach,
        "Functions",
        "Attach a function, whose output is another collection",
        models.AttachFunction,
        responses.FunctionAttachment,
        failures=(400, 404, 409, 412, 507),
        permission=Permission.WRITE,
    ),
    Route(
        "GET",
        COLLECTION + "/functions/{function_name}",
        "functions.get",
        functions.get,
        "Functions",
        "Get an attached function",
        response=responses.AttachedFunctionResponse,
        failures=(400, 404),
        permission=Permission.READ,
    ),
    Route(
        "POST",
        COLLECTION + "/attached_functions/{function_name}/detach",
        "functions.detach",
        functions.detach,
        "Functions",
        "Detach a function",
        models.DetachFunction,
        responses.FunctionDetachment,
        failures=(400, 404, 507),
        permission=Permission.WRITE,
    ),
)
