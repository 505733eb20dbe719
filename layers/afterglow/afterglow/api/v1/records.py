"""Handlers of v1's record routes: the id alone identifies the collection, a write returns `true`."""

from collections.abc import Callable
from dataclasses import replace

from afterglow.api import models
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.route import RecordHandler
from afterglow.api.v1 import translate
from afterglow.api.v2 import records
from afterglow.api.validation import json_body
from afterglow.errors import InvalidArgument


def add(context: AppContext, request: Request) -> Response | Deferred:
    """Add records; existing ids are skipped."""
    return _run_v2(records.add, context, request, _true)


def update(context: AppContext, request: Request) -> Response | Deferred:
    """Update records; unknown ids are skipped."""
    return _run_v2(records.update, context, request, _true)


def upsert(context: AppContext, request: Request) -> Response | Deferred:
    """Insert records, or update existing ones."""
    return _run_v2(records.upsert, context, request, _true)


def delete(context: AppContext, request: Request) -> Response | Deferred:
    """Delete records by id, by filter, or by both."""
    return _run_v2(_delete_selected, context, translate.drop_empty_filters(request, models.DeleteRecords), _null)


def get(context: AppContext, request: Request) -> Response | Deferred:
    """Records in insertion order."""
    return _run_v2(records.get, context, translate.drop_empty_filters(request, models.GetRecords), _rename_include)


def query(context: AppContext, request: Request) -> Response | Deferred:
    """The records nearest to each query vector."""
    request = translate.drop_empty_filters(request, models.QueryRecords, "ids")
    return _run_v2(records.query, context, request, _rename_include)


def count(context: AppContext, request: Request) -> Response | Deferred:
    """The number of records in the collection."""
    return _run_v2(records.count, context, request, _unchanged)


def _delete_selected(context: AppContext, request: Request) -> Response:
    body = json_body.parse(models.DeleteRecords, request.body)
    if body.ids is None and body.where is None and body.where_document is None:
        raise InvalidArgument("You must provide either ids, where, or where_document to delete.")
    return records.delete(context, request)


def _run_v2(
    handler: RecordHandler, context: AppContext, request: Request, to_v1: Callable[[Response], Response]
) -> Response | Deferred:
    collection_id = request.path_part("collection_id")
    with translate.v1_errors(collection_id):
        response = handler(context, translate.resolve_collection(context, request))
    if isinstance(response, Response):
        return to_v1(response)
    work = response.work

    def deferred_work() -> Response:
        with translate.v1_errors(collection_id):
            return to_v1(work())

    return Deferred(deferred_work)


def _unchanged(response: Response) -> Response:
    return response


def _true(response: Response) -> Response:
    return replace(response, body=b"true")


def _null(response: Response) -> Response:
    return replace(response, body=b"null")


def _rename_include(response: Response) -> Response:
    """The same columns, with `data`, which only clients fill, and `include` under its old name `included`."""
    # `include` is the last field, so the records before it need no parsing.
    head, _, include = response.body.rpartition(b'"include":')
    assert include.endswith(b"]}"), "a response ends with its include list"
    return replace(response, body=head + b'"data":null,"included":' + include)
