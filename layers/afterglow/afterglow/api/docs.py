"""The routes that describe the others: `/openapi.json`, and `/docs`, a page that needs nothing from elsewhere."""

from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from typing import Any

import orjson

from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.http.route import Execution, Route
from afterglow.auth import Permission
from afterglow.errors import NotFound

_KINDS = {
    "index.html": b"text/html; charset=utf-8",
    "docs.css": b"text/css; charset=utf-8",
    "docs.js": b"text/javascript; charset=utf-8",
}


def routes(table: Callable[[], Iterable[Route]]) -> tuple[Route, ...]:
    """The routes; `table` answers all routes, once there are all."""

    @cache
    def described(*, gated: bool) -> bytes:
        # Imported here: nothing else needs it, and a server should start quickly.
        from afterglow.api.openapi import document

        return orjson.dumps(document(table(), gated=gated))

    def openapi(service: AppContext, call: Request) -> Response:
        """The OpenAPI document."""
        del call
        return Response(described(gated=service.authenticator is not None))

    shown: dict[str, Any] = {"runs": Execution.DEDICATED_THREAD, "hidden": True, "need": Permission.PUBLIC}
    return (
        Route("GET", "/openapi.json", openapi, "System", "The OpenAPI document", **shown),
        Route("GET", "/docs", _page, "System", "These pages", **shown),
        Route("GET", "/docs/{file}", _file, "System", "Their parts", **shown),
    )


def _page(service: AppContext, call: Request) -> Response:
    del service, call
    return _static("index.html")


def _file(service: AppContext, call: Request) -> Response:
    del service
    return _static(call.path_part("file"))


@cache
def _read(name: str) -> bytes:
    return resources.files("afterglow.api").joinpath("static", name).read_bytes()


def _static(name: str) -> Response:
    if name not in _KINDS:
        raise NotFound(f"no such page: {name}")
    return Response(_read(name), content_type=_KINDS[name])
