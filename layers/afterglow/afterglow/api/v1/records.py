"""Handlers of v1's record routes: the collection is known by its id alone; `true` is the answer to a write."""

from collections.abc import Callable
from dataclasses import replace

from afterglow.api import models
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.route import Handler
from afterglow.api.v1 import translate
from afterglow.api.v2 import records
from afterglow.api.validation import json_body
from afterglow.errors import InvalidArgument


def add(service: AppContext, call: Request) -> Response | Deferred:
    """Add records; those whose id is there are left alone."""
    return _handled(records.add, service, call, _true)


def update(service: AppContext, call: Request) -> Response | Deferred:
    """Change records; those that are not there are left out."""
    return _handled(records.update, service, call, _true)


def upsert(service: AppContext, call: Request) -> Response | Deferred:
    """Insert records, or change those that are there."""
    return _handled(records.upsert, service, call, _true)


def delete(service: AppContext, call: Request) -> Response | Deferred:
    """Delete records by id, by filter, or by both."""
    return _handled(_delete_some, service, translate.drop_empty_filters(call), _null)


def get(service: AppContext, call: Request) -> Response | Deferred:
    """Records in insertion order."""
    return _handled(records.get, service, translate.drop_empty_filters(call), _included)


def query(service: AppContext, call: Request) -> Response | Deferred:
    """The records nearest to each query vector."""
    return _handled(records.query, service, translate.drop_empty_filters(call, "ids"), _included)


def count(service: AppContext, call: Request) -> Response | Deferred:
    """How many records the collection has."""
    return _handled(records.count, service, call, _as_it_is)


def _delete_some(service: AppContext, call: Request) -> Response:
    given = json_body.parse(models.DeleteRecords, call.body)
    if given.ids is None and given.where is None and given.where_document is None:
        raise InvalidArgument("You must provide either ids, where, or where_document to delete.")
    return records.delete(service, call)


def _handled(
    handler: Handler, service: AppContext, call: Request, reworded: Callable[[Response], Response]
) -> Response | Deferred:
    collection_id = call.path_part("collection_id")
    with translate.v1_errors(collection_id):
        done = handler(service, translate.resolve_collection(service, call))
    if isinstance(done, Response):
        return reworded(done)
    work = done.work

    def rest() -> Response:
        with translate.v1_errors(collection_id):
            return reworded(work())

    return Deferred(rest)


def _as_it_is(answer: Response) -> Response:
    return answer


def _true(answer: Response) -> Response:
    return replace(answer, body=b"true")


def _null(answer: Response) -> Response:
    return replace(answer, body=b"null")


def _included(answer: Response) -> Response:
    """The same columns; `data`, which only clients fill, and the list of what was asked for under its old name."""
    # It is the last field: whatever records hold comes before, and is not read again.
    head, _, include = answer.body.rpartition(b'"include":')
    assert include.endswith(b"]}"), "an answer ends with what was asked for"
    return replace(answer, body=head + b'"data":null,"included":' + include)
