"""The OpenAPI 3.1 document, from the route table and the models."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from afterglow import __version__
from afterglow.api import responses as answers
from afterglow.api.http.route import Execution, Route
from afterglow.auth import Permission

_REFERENCE = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"{(\w+)}")
_DEFAULTS = {"tenant": "default_tenant", "database": "default_database"}
_WORDS = {
    400: "Something in the request cannot be; or its JSON is malformed",
    401: "Who calls is not known",
    403: "Not for this caller, or switched off",
    404: "Not there",
    408: "The body did not arrive in time",
    409: "The name is taken",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "JSON of the wrong shape",
    429: "Too much is waiting to be indexed, or was tried to get in; retry after the time the header says",
    500: "A fault of the server, or damaged data",
    501: "Not served by this server",
    503: "The stores do not answer; retry after the time the header says",
    507: "No space left on the device; nothing was kept",
}
_WITH_BODY = (400, 408, 413, 415, 422)
_REFUSED = (401, 403, 429, 503)
_SCHEMES = {
    "token": {"type": "apiKey", "in": "header", "name": "X-Chroma-Token"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
}


def document(routes: Iterable[Route], *, gated: bool = False) -> dict[str, Any]:
    """The whole document; `gated`: of a server that asks who calls."""
    shown = [route for route in routes if not route.hidden]
    schemas, components = _schemas(shown)
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, gated=gated)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Afterglow",
            "description": "A vector database that speaks the Chroma API.",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components, **({"securitySchemes": _SCHEMES} if gated else {})},
    }


def operation_id(route: Route) -> str:
    """A name for the operation, as no other has it."""
    suffix = "_root" if route.path.count("/") == 2 else ""
    return route.operation.replace(".", "_") + suffix


def _schemas(routes: list[Route]) -> tuple[dict[tuple[int, str], Any], dict[str, Any]]:
    """The schema of every request and response by (id, mode), and what they refer to."""
    inputs: dict[tuple[int, str], Any] = {(id(answers.ErrorResponse), "serialization"): answers.ErrorResponse}
    for route in routes:
        if route.request is not None:
            inputs[id(route.request), "validation"] = route.request
        if route.response is not None:
            inputs[id(route.response), "serialization"] = route.response
    wanted: list[tuple[int, JsonSchemaMode, TypeAdapter[Any]]] = [
        (key, "validation" if mode == "validation" else "serialization", TypeAdapter(kind))
        for (key, mode), kind in inputs.items()
    ]
    found, definitions = TypeAdapter.json_schemas(wanted, ref_template=_REFERENCE)
    return {(key, mode): schema for (key, mode), schema in found.items()}, definitions.get("$defs", {})


def _operation(route: Route, schemas: dict[tuple[int, str], Any], *, gated: bool) -> dict[str, Any]:
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
    is_gated = gated and route.permission is not Permission.PUBLIC
    if is_gated:
        operation["security"] = [{name: []} for name in _SCHEMES]
    operation["responses"] = _responses(route, schemas, _REFUSED if is_gated else ())
    return operation


def _responses(route: Route, schemas: dict[tuple[int, str], Any], refused: tuple[int, ...]) -> dict[str, Any]:
    statuses = {*route.failures, *refused, 500} | (set(_WITH_BODY) if route.request is not None else set())
    if route.runs is not Execution.AT_ONCE:
        statuses.add(503)
    failure = schemas[id(answers.ErrorResponse), "serialization"]
    responses = {status: _response(_WORDS[status], failure) for status in statuses}
    if route.success in _WORDS:
        responses[route.success] = _response(_WORDS[route.success], failure)
    else:
        schema = None if route.response is None else schemas[id(route.response), "serialization"]
        responses[route.success] = _response(HTTPStatus(route.success).phrase, schema)
    return {str(status): responses[status] for status in sorted(responses)}


def _response(description: str, schema: Any) -> dict[str, Any]:
    if schema is None:
        return {"description": description}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
