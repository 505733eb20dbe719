"""The routes of the console: the page at `/` and `/console`, and its files."""

from typing import Any

from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.http.route import Execution, Route
from afterglow.auth import Permission
from afterglow.console import files
from afterglow.errors import NotFound

_OPTIONS: dict[str, Any] = {
    "execution": Execution.DEDICATED_THREAD,
    "hidden": True,
    "permission": Permission.PUBLIC,
}


def _page(context: AppContext, request: Request) -> Response:
    del context, request
    return _response(files.INDEX)


def _file(context: AppContext, request: Request) -> Response:
    del context
    return _response(request.path_part("file"))


def _response(name: str) -> Response:
    if name not in files.names():
        raise NotFound(f"no such page: {name}")
    content, content_type = files.read(name)
    return Response(content, content_type=content_type, headers=files.HEADERS)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/", "console.page", _page, "System", "The console", **_OPTIONS),
    Route("GET", "/console", "console.page", _page, "System", "The console", **_OPTIONS),
    Route("GET", "/console/{file}", "console.file", _file, "System", "The console's files", **_OPTIONS),
)
