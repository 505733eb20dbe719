"""The routes of attached functions, which are not served."""

from afterglow.access import Need
from afterglow.api import answers, models, unserved
from afterglow.api.route import Route, Runs
from afterglow.api.routes.paths import COLLECTION

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        COLLECTION + "/functions/attach",
        unserved.attach_function,
        "Functions",
        "Run a function over what is written (not served)",
        models.AttachFunction,
        answers.Failure,
        success=501,
        failures=(400, 404),
        need=Need.WRITE,
    ),
    Route(
        "GET",
        COLLECTION + "/functions/{function_name}",
        unserved.get_function,
        "Functions",
        "An attached function: there is none",
        response=answers.Failure,
        success=404,
        failures=(400,),
        runs=Runs.AT_ONCE,
        need=Need.READ,
    ),
    Route(
        "POST",
        COLLECTION + "/attached_functions/{function_name}/detach",
        unserved.detach_function,
        "Functions",
        "Stop a function (not served)",
        models.DetachFunction,
        answers.Failure,
        success=501,
        failures=(400, 404),
        need=Need.WRITE,
    ),
)
