"""Handlers of attached functions: attach, get, detach."""

from typing import Any

import orjson

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.validation import json_body
from afterglow.catalog.model import AttachedFunction
from afterglow.catalog.names import validate_collection_name
from afterglow.collection.write.functions import FunctionRequest
from afterglow.errors import InvalidArgument

_MIN_RECORDS = 1
"""An output is brought up to date after any number of new records."""


def attach(context: AppContext, request: Request) -> Response:
    """Attach a function to a collection."""
    body = json_body.parse(models.AttachFunction, request.body)
    if not body.name:
        raise InvalidArgument("Validation error: name: the name of an attached function must not be empty")
    validate_collection_name(body.output_collection, "output_collection")
    function, is_new = context.engine.attach_function(
        request_params.scope(request),
        FunctionRequest(body.name, body.function_id, body.output_collection, body.params or None),
    )
    return Response(orjson.dumps({"attached_function": _summary(function), "created": is_new}))


def get(context: AppContext, request: Request) -> Response:
    """The attached function of a name."""
    scope = request_params.scope(request)
    function = context.engine.get_function(scope, request.path_part("function_name"))
    described = {
        **_summary(function),
        "input_collection_id": str(scope.collection),
        "output_collection": function.output_name,
        "output_collection_id": str(function.output_id),
        "params": None if function.params is None else orjson.dumps(function.params).decode(),
        "tenant_id": scope.tenant,
        "database_id": scope.database,
        "completion_offset": function.completion_offset,
        "min_records_for_invocation": _MIN_RECORDS,
    }
    return Response(orjson.dumps({"attached_function": described}))


def detach(context: AppContext, request: Request) -> Response:
    """Detach a function from a collection."""
    body = json_body.parse(models.DetachFunction, request.body)
    name = request.path_part("function_name")
    context.engine.detach_function(request_params.scope(request), name, delete_output=body.delete_output)
    return Response(orjson.dumps({"success": True}))


def _summary(function: AttachedFunction) -> dict[str, Any]:
    return {"id": str(function.id), "name": function.name, "function_name": function.function}
