"""The v1 routes of collections."""

from typing import TYPE_CHECKING

from afterglow.api.http.late import late
from afterglow.api.http.request_params import PAGE_PARAMETERS
from afterglow.api.http.route import Route
from afterglow.api.v1.routes.paths import API, COLLECTION, COLLECTIONS, SCOPE, TAG
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import models
    from afterglow.api.v1 import collections, translate
    from afterglow.api.v1 import responses as v1_responses
else:
    models = late("afterglow.api.models")
    collections = late("afterglow.api.v1.collections")
    translate = late("afterglow.api.v1.translate")
    v1_responses = late("afterglow.api.v1.responses")

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        COLLECTION,
        "v1.collections.get",
        collections.get,
        TAG,
        "Get a collection by name",
        response=v1_responses.V1Collection,
        failures=(400,),
        query=SCOPE,
        permission=Permission.READ,
        restricted=collections.get,
        scope_of=translate.query_scope,
    ),
    Route(
        "PUT",
        COLLECTION,
        "v1.collections.update",
        collections.update,
        TAG,
        "Rename a collection (by id), replace its metadata",
        models.UpdateCollection,
        type(None),
        failures=(400, 409, 507),
        permission=Permission.WRITE,
        scope_of=None,
    ),
    Route(
        "DELETE",
        COLLECTION,
        "v1.collections.delete",
        collections.delete,
        TAG,
        "Delete a collection by name",
        response=type(None),
        failures=(400, 507),
        query=SCOPE,
        permission=Permission.WRITE,
        scope_of=translate.query_scope,
    ),
    Route(
        "GET",
        COLLECTIONS,
        "v1.collections.list_all",
        collections.list_all,
        TAG,
        "List a database's collections, by id",
        response=list[v1_responses.V1Collection],
        failures=(400,),
        query=SCOPE + PAGE_PARAMETERS,
        permission=Permission.READ,
        restricted=collections.list_all,
        scope_of=translate.query_scope,
    ),
    Route(
        "POST",
        COLLECTIONS,
        "v1.collections.create",
        collections.create,
        TAG,
        "Create a collection",
        models.CreateCollection,
        v1_responses.V1Collection,
        failures=(400, 409, 507),
        query=SCOPE,
        permission=Permission.WRITE,
        read_only=collections.get_for_reader,
        restricted=collections.get_for_reader,
        scope_of=translate.query_scope,
    ),
    Route(
        "GET",
        API + "/count_collections",
        "v1.collections.count",
        collections.count,
        TAG,
        "Count a database's collections",
        response=int,
        failures=(400,),
        query=SCOPE,
        permission=Permission.READ,
        restricted=collections.count,
        scope_of=translate.query_scope,
    ),
)
