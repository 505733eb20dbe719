"""Handlers of what the contract names and this server does not serve: the shape is judged, the answer is 501."""

from typing import NoReturn

from pydantic import BaseModel

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.validation import json_body
from afterglow.catalog.names import parse_collection_id, validate_database_segment
from afterglow.errors import NotFound, Unimplemented


def attach_function(service: AppContext, call: Request) -> Response:
    """A function over what is written."""
    _refuse_function(service, call, models.AttachFunction)


def detach_function(service: AppContext, call: Request) -> Response:
    """Its end."""
    _refuse_function(service, call, models.DetachFunction)


def get_function(service: AppContext, call: Request) -> Response:
    """An attached function: there is none."""
    del service
    validate_database_segment(call.path_part("database"))
    parse_collection_id(call.path_part("collection_id"))
    raise NotFound("Attached function not found")


def _refuse(service: AppContext, call: Request, message: str) -> NoReturn:
    service.engine.get_collection_by_id(request_params.scope(call))
    raise Unimplemented(message)


def _refuse_function(service: AppContext, call: Request, model: type[BaseModel]) -> NoReturn:
    json_body.parse(model, call.body)
    _refuse(service, call, "Attached functions are not supported: operation is not implemented or not supported")
