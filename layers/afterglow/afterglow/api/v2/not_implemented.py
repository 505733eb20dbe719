"""Handlers of the routes of Chroma's contract that are not implemented: they validate the body, then return 501."""

from typing import NoReturn

from pydantic import BaseModel

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.validation import json_body
from afterglow.catalog.names import parse_collection_id, validate_database_segment
from afterglow.errors import NotFound, Unimplemented


def attach_function(context: AppContext, request: Request) -> Response:
    """Attach a function to a collection."""
    _refuse_function(context, request, models.AttachFunction)


def detach_function(context: AppContext, request: Request) -> Response:
    """Detach a function."""
    _refuse_function(context, request, models.DetachFunction)


def get_function(context: AppContext, request: Request) -> Response:
    """An attached function; none exists."""
    del context
    validate_database_segment(request.path_part("database"))
    parse_collection_id(request.path_part("collection_id"))
    raise NotFound("Attached function not found")


def _refuse_function(context: AppContext, request: Request, model: type[BaseModel]) -> NoReturn:
    json_body.parse(model, request.body)
    context.engine.get_collection_by_id(request_params.scope(request))
    raise Unimplemented("Attached functions are not supported: operation is not implemented or not supported")
