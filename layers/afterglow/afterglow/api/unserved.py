"""Handlers of what the contract names and this server does not serve: the shape is judged, the answer is 501."""

from typing import NoReturn

from pydantic import BaseModel

from afterglow.api import models, params, shapes
from afterglow.api.service import Answer, Call, Service
from afterglow.catalog.names import parse_collection_id, validate_database_segment
from afterglow.errors import InvalidArgument, NotFound, Unimplemented
from afterglow.filters.parse import parse_where

_RANKS = frozenset({"$abs", "$div", "$exp", "$knn", "$log", "$max", "$min", "$mul", "$sub", "$sum", "$val"})


def fork(service: Service, call: Call) -> Answer:
    """A copy of a collection."""
    shapes.parse(models.ForkCollection, call.body)
    _refuse(service, call, "Collection forking is unsupported for local chroma")


def fork_count(service: Service, call: Call) -> Answer:
    """How many copies there are."""
    _refuse(service, call, "Count forks is unsupported for local chroma")


def search(service: Service, call: Call) -> Answer:
    """Several ranked searches."""
    request = shapes.parse(models.SearchRecords, call.body)
    for at, each in enumerate(request.searches):
        _check_search(each, f"searches[{at}]")
    scope = params.scope(call)
    service.engine.get_collection_by_id(scope)
    for at, each in enumerate(request.searches):
        _check_groups(each, f"searches[{at}].group_by")
    raise Unimplemented("Error executing plan: Not implemented: Search operation is not implemented for local executor")


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
    service.engine.get_collection_by_id(params.scope(call))
    raise Unimplemented(message)


def _refuse_function(service: Service, call: Call, model: type[BaseModel]) -> NoReturn:
    shapes.parse(model, call.body)
    _refuse(service, call, "Attached functions are not supported: operation is not implemented or not supported")


def _check_search(search: models.Search, path: str) -> None:
    if search.filter:
        try:
            parse_where(search.filter)
        except InvalidArgument as error:
            raise shapes.wrong_shape(f"{path}.filter", error.message) from None
    if search.rank and (len(search.rank) != 1 or not _RANKS.issuperset(search.rank)):
        known = ", ".join(f"`{each}`" for each in sorted(_RANKS))
        raise shapes.wrong_shape(
            f"{path}.rank", f"unknown variant `{next(iter(search.rank))}`, expected one of {known}"
        )


def _check_groups(search: models.Search, path: str) -> None:
    groups = search.group_by
    if groups is None or (not groups.keys and groups.aggregate is None):
        return
    if not groups.keys or groups.aggregate is None:
        raise InvalidArgument(
            f"Validation error: {path}: group_by keys and aggregate must both be specified or both be omitted"
        )
    if not search.rank:
        raise InvalidArgument(f"Validation error: {path}: group_by requires rank expression to be specified")
