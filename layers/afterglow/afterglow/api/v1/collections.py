"""Handlers of v1's collection routes, which return a collection in its old form."""

import orjson

from afterglow.api import legacy
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.v1 import translate
from afterglow.api.v2 import collections

_NULL = b"null"
_OLDEST_FIELDS = ("id", "name", "metadata")


def create(context: AppContext, request: Request) -> Response:
    """Create a collection, or return the existing one."""
    v2_request = translate.drop_empty_metadata(translate.with_database(request), "metadata")
    with translate.v1_name_taken(request, "Collection"):
        return _to_v1(collections.create(context, v2_request))


def get_for_reader(context: AppContext, request: Request) -> Response:
    """The existing collection, for a caller that may not create one. Raises Forbidden for every other request."""
    v2_request = translate.drop_empty_metadata(translate.with_database(request), "metadata")
    return _to_v1(collections.get_for_reader(context, v2_request))


def list_all(context: AppContext, request: Request) -> Response:
    """A database's collections, by id.

    Clients before 0.5 refuse unknown keys, in this response alone; they use the library requests, later clients httpx.
    """
    v2_collections = orjson.loads(collections.list_all(context, translate.with_database(request)).body)
    if request.headers.get(b"user-agent", b"").startswith(b"python-requests/"):
        return Response(orjson.dumps([{name: item[name] for name in _OLDEST_FIELDS} for item in v2_collections]))
    return Response(orjson.dumps([legacy.to_legacy_collection(collection) for collection in v2_collections]))


def count(context: AppContext, request: Request) -> Response:
    """The number of collections in a database."""
    return collections.count(context, translate.with_database(request))


def get(context: AppContext, request: Request) -> Response:
    """A collection by name."""
    with translate.v1_errors(request.path_part("collection_id")):
        return _to_v1(collections.get(context, translate.with_database(request)))


def update(context: AppContext, request: Request) -> Response:
    """Rename a collection, replace its metadata."""
    v2_request = translate.drop_empty_metadata(translate.resolve_collection(context, request), "new_metadata")
    with (
        translate.v1_errors(request.path_part("collection_id")),
        translate.v1_name_taken(request, "Collection", field="new_name"),
    ):
        collections.update(context, v2_request)
    return Response(_NULL)


def delete(context: AppContext, request: Request) -> Response:
    """Drop a collection by name."""
    with translate.v1_errors(request.path_part("collection_id")):
        collections.delete(context, translate.with_database(request))
    return Response(_NULL)


def _to_v1(response: Response) -> Response:
    return Response(orjson.dumps(legacy.to_legacy_collection(orjson.loads(response.body))))
