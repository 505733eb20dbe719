"""Handlers of v1's collection routes: a collection in its old form, by name or id."""

import orjson

from afterglow.api import legacy
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.v1 import translate
from afterglow.api.v2 import collections

_NULL = b"null"
_OLDEST = ("id", "name", "metadata")


def create(service: AppContext, call: Request) -> Response:
    """Make a collection, or answer the one that is there."""
    placed = translate.without_empty_metadata(translate.within_database(call), "metadata")
    with translate.v1_name_taken(call, "Collection"):
        return _old(collections.create(service, placed))


def list_all(service: AppContext, call: Request) -> Response:
    """A database's collections, by id.

    Clients before 0.5 refuse keys that they do not know, in this answer alone; they came with requests, later ones with
    httpx.
    """
    found = orjson.loads(collections.list_all(service, translate.within_database(call)).body)
    if call.headers.get(b"user-agent", b"").startswith(b"python-requests/"):
        return Response(orjson.dumps([{name: each[name] for name in _OLDEST} for each in found]))
    return Response(orjson.dumps([legacy.collection(each) for each in found]))


def count(service: AppContext, call: Request) -> Response:
    """How many collections a database has."""
    return collections.count(service, translate.within_database(call))


def get(service: AppContext, call: Request) -> Response:
    """A collection by name."""
    with translate.v1_errors(call.path_part("collection_id")):
        return _old(collections.get(service, translate.within_database(call)))


def update(service: AppContext, call: Request) -> Response:
    """Rename a collection, replace its metadata."""
    placed = translate.without_empty_metadata(translate.resolve_collection(service, call), "new_metadata")
    with (
        translate.v1_errors(call.path_part("collection_id")),
        translate.v1_name_taken(call, "Collection", field="new_name"),
    ):
        collections.update(service, placed)
    return Response(_NULL)


def delete(service: AppContext, call: Request) -> Response:
    """Drop a collection by name."""
    with translate.v1_errors(call.path_part("collection_id")):
        collections.delete(service, translate.within_database(call))
    return Response(_NULL)


def _old(answer: Response) -> Response:
    return Response(orjson.dumps(legacy.collection(orjson.loads(answer.body))))
