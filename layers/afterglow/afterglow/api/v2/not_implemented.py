"""Handlers of what the contract names and this server does not serve: the shape is judged, the answer is 501."""

from typing import NoReturn

from pydantic import BaseModel

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import Answer, Call, Service
from afterglow.api.validation import json_body
from afterglow.catalog.names import parse_collection_id, validate_database_segment
from afterglow.errors import NotFound, Unimplemented


def attach_function(service: Service, call: Call) -> Answer:
    """A function over what is written."""
    _refuse_function(service, call, models.AttachFunction)


def detach_function(service: Service, call: Call) -> Answer:
    """Its end."""
    _refuse_function(service, call, models.DetachFunction)


def get_function(service: Service, call: Call) -> Answer:
    """An attached function: there is none."""
    del service
    validate_database_segment(call.part("database"))
    parse_collection_id(call.part("collection_id"))
    raise NotFound("Attached function not found")


def _refuse(service: Service, call: Call, message: str) -> NoReturn:
    service.engine.get_collection_by_id(request_params.scope(call))
    raise Unimplemented(message)


def _refuse_function(service: Service, call: Call, model: type[BaseModel]) -> NoReturn:
    json_body.parse(model, call.body)
    _refuse(service, call, "Attached functions are not supported: operation is not implemented or not supported")
