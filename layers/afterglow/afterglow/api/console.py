"""The routes of the console: the page at `/` and `/console`, and its files."""

from typing import Any

from afterglow.api import static_files
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.http.route import Execution, Route
from afterglow.auth import Permission
from afterglow.console.policy import HEADERS, PACKAGE

_OPTIONS: dict[str, Any] = {
    "execution": Execution.DEDICATED_THREAD,
    "hidden": True,
    "permission": Permission.PUBLIC,
}


def _page(context: AppContext, request: Request) -> Response:
    del context, request
    return static_files.respond(PACKAGE, static_files.INDEX, HEADERS)


def _file(context: AppContext, request: Request) -> Response:
    del context
    return static_files.respond(PACKAGE, request.path_part("file"), HEADERS)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/", "console.page", _page, "System", "The console", **_OPTIONS),
    Route("GET", "/console", "console.page", _page, "System", "The console", **_OPTIONS),
    Route("GET", "/console/{file}", "console.file", _file, "System", "The console's files", **_OPTIONS),
)
