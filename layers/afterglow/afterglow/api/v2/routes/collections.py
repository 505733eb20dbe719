"""The routes of collections: of forks, of the collections in a database, and lookups by other paths."""

from typing import TYPE_CHECKING

from afterglow.api.http import request_params
from afterglow.api.http.late import late
from afterglow.api.http.request_params import PAGE_PARAMETERS
from afterglow.api.http.route import Route
from afterglow.api.v2.routes.paths import API, COLLECTION, COLLECTIONS, DATABASE
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import models, responses
    from afterglow.api.v2 import collections
else:
    models = late("afterglow.api.models")
    responses = late("afterglow.api.responses")
    collections = late("afterglow.api.v2.collections")

FORKS: tuple[Route, ...] = (
    Route(
        "POST",
        COLLECTION + "/fork",
        "forks.fork",
        collections.fork,
        "Collections",
        "Fork a collection, as it is or as of a point in time",
        models.ForkCollection,
        responses.Collection,
        failures=(400, 404, 409, 507),
        query=(request_params.AT_PARAMETER,),
        permission=Permission.WRITE,
    ),
    Route(
        "GET",
        COLLECTION + "/fork_count",
        "forks.fork_count",
        collections.fork_count,
        "Collections",
        "Count the forks in a collection's lineage",
        response=responses.ForkCount,
        failures=(400, 404),
        permission=Permission.READ,
    ),
)

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        COLLECTIONS + "/by-id/{collection_id}",
        "collections.get_by_id",
        collections.get_by_id,
        "Collections",
        "Get a collection by id",
        response=responses.Collection,
        failures=(400, 404),
        permission=Permission.READ,
        restricted=collections.get_by_id,
    ),
    Route(
        "GET",
        COLLECTION,
        "collections.get",
        collections.get,
        "Collections",
        "Get a collection by name",
        response=responses.Collection,
        failures=(400, 404),
        permission=Permission.READ,
        restricted=collections.get,
    ),
    Route(
        "PUT",
        COLLECTION,
        "collections.update",
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
        "collections.delete",
        collections.delete,
        "Collections",
        "Delete a collection by name",
        response=responses.EmptyResponse,
        failures=(400, 404, 507),
        permission=Permission.WRITE,
    ),
    Route(
        "GET",
        COLLECTIONS,
        "collections.list_all",
        collections.list_all,
        "Collections",
        "List a database's collections, by id",
        response=list[responses.Collection],
        failures=(400,),
        query=PAGE_PARAMETERS,
        permission=Permission.READ,
        restricted=collections.list_all,
    ),
    Route(
        "POST",
        COLLECTIONS,
        "collections.create",
        collections.create,
        "Collections",
        "Create a collection",
        models.CreateCollection,
        responses.Collection,
        failures=(400, 409, 507),
        permission=Permission.WRITE,
        read_only=collections.get_for_reader,
        restricted=collections.get_for_reader,
    ),
)

LOOKUPS: tuple[Route, ...] = (
    Route(
        "GET",
        DATABASE + "/collections_count",
        "collections.count",
        collections.count,
        "Collections",
        "Count a database's collections",
        response=int,
        failures=(400,),
        permission=Permission.READ,
        restricted=collections.count,
    ),
    Route(
        "GET",
        API + "/collections/{crn}",
        "collections.get_by_crn",
        collections.get_by_crn,
        "Collections",
        "Get a collection by resource name: tenant:database:collection",
        response=responses.Collection,
        failures=(400, 404),
        permission=Permission.READ,
        scope_of=None,
    ),
)
