"""Handlers of the counts and values of selected records: count, distinct, min_max. Chroma has none of them."""

import orjson

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.v2 import record_requests
from afterglow.api.v2.collection_first import collection_first
from afterglow.api.v2.records import with_log_position
from afterglow.api.validation import json_body
from afterglow.collection.types import Selection
from afterglow.metering import phase


def count(context: AppContext, request: Request) -> Response:
    """The number of selected records."""
    with phase("parse"):
        body = json_body.parse(models.CountRecords, request.body)
    selection = _selection(context, request, body)
    at = request_params.parse_at(request)
    with phase("handle"):
        counted = context.engine.count_selected(request_params.scope(request), selection, at)
    return with_log_position(b"%d" % counted.count, counted.position)


def distinct(context: AppContext, request: Request) -> Response:
    """The distinct values of a metadata key in the selected records."""
    with phase("parse"):
        body = json_body.parse(models.DistinctValues, request.body)
    selection = _selection(context, request, body)
    at = request_params.parse_at(request)
    with phase("handle"):
        found = context.engine.distinct(request_params.scope(request), selection, body.key, body.limit, at)
    values = [{"value": value, "count": frequency} for value, frequency in found.values]
    return with_log_position(orjson.dumps({"values": values, "total": found.total}), found.position)


def min_max(context: AppContext, request: Request) -> Response:
    """The least and the greatest value of a metadata key in the selected records."""
    with phase("parse"):
        body = json_body.parse(models.ValueRange, request.body)
    selection = _selection(context, request, body)
    at = request_params.parse_at(request)
    with phase("handle"):
        found = context.engine.value_range(request_params.scope(request), selection, body.key, at)
    encoded = orjson.dumps({"min": found.minimum, "max": found.maximum, "count": found.records})
    return with_log_position(encoded, found.position)


def _selection(context: AppContext, request: Request, body: models.Filters) -> Selection:
    """The selection of a body; an unknown collection takes precedence over an invalid filter."""
    with collection_first(context, request_params.scope(request)), phase("parse"):
        return record_requests.selection(body, record_requests.filter_budget(context.settings))
