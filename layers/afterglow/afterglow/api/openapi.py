"""The OpenAPI 3.1 document, from the route table and the models."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from afterglow.api import responses as response_models
from afterglow.api.http.route import Execution, Route
from afterglow.auth import Permission
from afterglow.version import __version__

_REFERENCE = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"{(\w+)}")
_DEFAULTS = {"tenant": "default_tenant", "database": "default_database"}
_DESCRIPTIONS = {
    400: "An argument is invalid, or the JSON is malformed",
    401: "The credentials are missing or invalid",
    403: "The credentials do not allow this, or it is disabled",
    404: "Not found",
    408: "The body did not arrive in time",
    409: "The name is taken, or what the transaction has read was written since",
    410: "The changes after this position are not stored any more; `afterglow-oldest-position` names one that works",
    412: "The transaction began too long ago; or another function is attached to the collection",
    413: "The body is too large",
    415: "The content type is not JSON",
    422: "The JSON does not match the schema",
    429: "Too many unindexed operations or failed logins, or writes are held; retry after the seconds in `retry-after`",
    500: "A server error, or corrupt data",
    501: "Not implemented by this server",
    503: "The stores are unavailable; retry after the seconds in `retry-after`",
    507: "No space left on the device; nothing was written",
}
_BODY_FAILURES = (400, 408, 413, 415, 422)
_AUTHENTICATION_FAILURES = (401, 403, 429, 503)
_SCHEMES = {
    "token": {"type": "apiKey", "in": "header", "name": "X-Chroma-Token"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
}


def document(routes: Iterable[Route], *, requires_authentication: bool = False) -> dict[str, Any]:
    """The whole document, for a server with or without authentication."""
    visible = [route.loaded() for route in routes if not route.hidden]
    schemas, components = _schemas(visible)
    paths: dict[str, dict[str, Any]] = {}
    for route in visible:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, schemas, requires_authentication=requires_authentication
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Afterglow",
            "description": "A vector database that speaks the Chroma API.",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components, **({"securitySchemes": _SCHEMES} if requires_authentication else {})},
    }


def operation_id(route: Route) -> str:
    """A unique name of the operation."""
    suffix = "_root" if route.path.count("/") == 2 else ""
    return route.operation.replace(".", "_") + suffix


def _schemas(routes: list[Route]) -> tuple[dict[tuple[int, str], Any], dict[str, Any]]:
    """The schema of every request and response by (id, mode), and the shared definitions that they refer to."""
    inputs: dict[tuple[int, str], Any] = {
        (id(response_models.ErrorResponse), "serialization"): response_models.ErrorResponse
    }
    for route in routes:
        if route.request is not None:
            inputs[id(route.request), "validation"] = route.request
        if route.response is not None:
            inputs[id(route.response), "serialization"] = route.response
    adapters: list[tuple[int, JsonSchemaMode, TypeAdapter[Any]]] = [
        (key, "validation" if mode == "validation" else "serialization", TypeAdapter(model))
        for (key, mode), model in inputs.items()
    ]
    schemas, definitions = TypeAdapter.json_schemas(adapters, ref_template=_REFERENCE)
    return {(key, mode): schema for (key, mode), schema in schemas.items()}, definitions.get("$defs", {})


def _operation(route: Route, schemas: dict[tuple[int, str], Any], *, requires_authentication: bool) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": operation_id(route), "tags": [route.tag], "summary": route.summary}
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"} | ({"default": _DEFAULTS[name]} if name in _DEFAULTS else {}),
        }
        for name in _PARAMETER.findall(route.path)
    ]
    parameters += [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in route.query]
    if parameters:
        operation["parameters"] = parameters
    if route.request is not None:
        schema = schemas[id(route.request), "validation"]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    is_authenticated = requires_authentication and route.permission is not Permission.PUBLIC
    if is_authenticated:
        operation["security"] = [{name: []} for name in _SCHEMES]
    operation["responses"] = _responses(route, schemas, _AUTHENTICATION_FAILURES if is_authenticated else ())
    return operation


def _responses(route: Route, schemas: dict[tuple[int, str], Any], more_failures: tuple[int, ...]) -> dict[str, Any]:
    statuses = {*route.failures, *more_failures, 500} | (set(_BODY_FAILURES) if route.request is not None else set())
    if route.execution is not Execution.EVENT_LOOP:
        statuses.add(503)
    failure = schemas[id(response_models.ErrorResponse), "serialization"]
    responses = {status: _response(_DESCRIPTIONS[status], failure) for status in statuses}
    if route.success in _DESCRIPTIONS:
        responses[route.success] = _response(_DESCRIPTIONS[route.success], failure)
    else:
        schema = None if route.response is None else schemas[id(route.response), "serialization"]
        responses[route.success] = _response(HTTPStatus(route.success).phrase, schema, route.content_types)
    return {str(status): responses[status] for status in sorted(responses)}


def _response(description: str, schema: Any, content_types: tuple[str, ...] = ("application/json",)) -> dict[str, Any]:
    if schema is None:
        return {"description": description}
    return {"description": description, "content": {kind: {"schema": schema} for kind in content_types}}
