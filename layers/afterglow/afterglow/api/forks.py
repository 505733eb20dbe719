"""Handlers of forks: a copy of a collection, as it is or as it was, and how many there are."""

import orjson

from afterglow.api import collections, models, moments, params, shapes
from afterglow.api.service import Answer, Call, Service
from afterglow.catalog import names


def fork(service: Service, call: Call) -> Answer:
    """Make a collection that begins as this one is, or was at the moment that the query string names."""
    request = shapes.parse(models.ForkCollection, call.body)
    scope = params.scope(call)
    names.validate_collection_name(request.new_name, "new_name")
    made = service.engine.fork(scope, request.new_name, moments.moment(call))
    return Answer(collections.encoded(call, made))


def fork_count(service: Service, call: Call) -> Answer:
    """How many forks there are of a collection and its relatives."""
    return Answer(orjson.dumps({"count": service.engine.fork_count(params.scope(call))}))
