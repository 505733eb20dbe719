"""The routes of collections: of their forks, of a database's collections, and of those found otherwise."""

from afterglow.api import models, responses
from afterglow.api.http import request_params
from afterglow.api.http.request_params import PAGE
from afterglow.api.http.route import Route
from afterglow.api.v2 import collections
from afterglow.api.v2 import collections as forks
from afterglow.api.v2.routes.paths import API, COLLECTION, COLLECTIONS, DATABASE
from afterglow.auth import Permission

FORKS: tuple[Route, ...] = (
    Route(
        "POST",
        COLLECTION + "/fork",
        forks.fork,
        "Collections",
        "Make a collection that begins as this one is, or was",
        models.ForkCollection,
        responses.Collection,
        failures=(400, 404, 409, 507),
        query=(request_params.QUERY,),
        permission=Permission.WRITE,
    ),
    Route(
        "GET",
        COLLECTION + "/fork_count",
        forks.fork_count,
        "Collections",
        "How many forks there are of a collection and its relatives",
        response=responses.ForkCount,
        failures=(400, 404),
        permission=Permission.READ,
    ),
)

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        COLLECTIONS + "/by-id/{collection_id}",
        collections.get_by_id,
        "Collections",
        "A collection by id",
        response=responses.Collection,
        failures=(400, 404),
        permission=Permission.READ,
    ),
    Route(
        "GET",
        COLLECTION,
        collections.get,
        "Collections",
        "A collection by name",
        response=responses.Collection,
        failures=(400, 404),
        permission=Permission.READ,
    ),
    Route(
        "PUT",
        COLLECTION,
        collections.update,
        "Collections",
        "Rename a collection (by id), replace its metadata, reconfigure it",
        models.UpdateCollection,
        responses.EmptyResponse,
        failures=(400, 404, 409, 507),
        permission=Permission.WRITE,
    ),
    Route(
        "DELETE",
        COLLECTION,
        collections.delete,
        "Collections",
        "Drop a collection by name",
        response=responses.EmptyResponse,
        failures=(400, 404, 507),
        permission=Permission.WRITE,
    ),
    Route(
        "GET",
        COLLECTIONS,
        collections.list_all,
        "Collections",
        "A database's collections, by id",
        response=list[responses.Collection],
        failures=(400,),
        query=PAGE,
        permission=Permission.READ,
    ),
    Route(
        "POST",
        COLLECTIONS,
        collections.create,
        "Collections",
        "Make a collection",
        models.CreateCollection,
        responses.Collection,
        failures=(400, 409, 507),
        permission=Permission.WRITE,
    ),
)

COUNTED_OR_NAMED: tuple[Route, ...] = (
    Route(
        "GET",
        DATABASE + "/collections_count",
        collections.count,
        "Collections",
        "How many collections a database has",
        response=int,
        failures=(400,),
        permission=Permission.READ,
    ),
    Route(
        "GET",
        API + "/collections/{crn}",
        collections.get_by_crn,
        "Collections",
        "A collection by resource name: tenant:database:collection",
        response=responses.Collection,
        failures=(400, 404),
        permission=Permission.READ,
        scope_of=None,
    ),
)
