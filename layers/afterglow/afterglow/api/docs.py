"""The routes that describe the API: `/openapi.json`, and `/docs`, a page that loads nothing from other servers."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import orjson

from afterglow.api import static_files
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.http.route import Execution, Route, served_routes
from afterglow.auth import Permission
from afterglow.settings import Settings

_PACKAGE = "afterglow.api"


def routes(all_routes: Callable[[], Iterable[Route]]) -> tuple[Route, ...]:
    """The routes. `all_routes` is called at the first request, when the route table is complete."""

    @cache
    def encoded_document(settings: Settings, *, requires_authentication: bool) -> bytes:
        # Imported late: only this route needs it, and a server should start quickly.
        from afterglow.api.openapi import document

        served = served_routes(all_routes(), settings)
        return orjson.dumps(document(served, requires_authentication=requires_authentication))

    def openapi(context: AppContext, request: Request) -> Response:
        """The OpenAPI document."""
        del request
        is_authenticated = context.authenticator is not None
        return Response(encoded_document(context.settings, requires_authentication=is_authenticated))

    options: dict[str, Any] = {
        "execution": Execution.DEDICATED_THREAD,
        "hidden": True,
        "permission": Permission.PUBLIC,
    }
    return (
        Route("GET", "/openapi.json", "docs.openapi", openapi, "System", "The OpenAPI document", **options),
        Route("GET", "/docs", "docs.page", _page, "System", "The documentation page", **options),
        Route("GET", "/docs/{file}", "docs.file", _file, "System", "The page's static files", **options),
    )


def _page(context: AppContext, request: Request) -> Response:
    del context, request
    return static_files.respond(_PACKAGE, static_files.INDEX)


def _file(context: AppContext, request: Request) -> Response:
    del context
    return static_files.respond(_PACKAGE, request.path_part("file"))
