"""The routes of v1."""

from typing import TYPE_CHECKING, Any

from afterglow.api.http.late import late
from afterglow.api.http.request_params import PAGE_PARAMETERS
from afterglow.api.http.route import Execution, Route
from afterglow.auth import Permission
from afterglow.catalog.tenants import DEFAULT_DATABASE, DEFAULT_TENANT

if TYPE_CHECKING:
    from afterglow.api import models, responses
    from afterglow.api.v1 import collections, records, system, tenants, translate
    from afterglow.api.v1 import responses as v1_responses
else:
    models = late("afterglow.api.models")
    responses = late("afterglow.api.responses")
    collections = late("afterglow.api.v1.collections")
    records = late("afterglow.api.v1.records")
    system = late("afterglow.api.v1.system")
    tenants = late("afterglow.api.v1.tenants")
    v1_responses = late("afterglow.api.v1.responses")
    translate = late("afterglow.api.v1.translate")

API = "/api/v1"
COLLECTIONS = API + "/collections"
COLLECTION = COLLECTIONS + "/{collection_id}"

_TAG = "Version 1"
_NULL = type(None)
_TENANT: tuple[str, dict[str, Any]] = ("tenant", {"type": "string", "default": DEFAULT_TENANT})
_DATABASE: tuple[str, dict[str, Any]] = ("database", {"type": "string", "default": DEFAULT_DATABASE})
_SCOPE = (_TENANT, _DATABASE)
# In v1, an unknown collection or database is an invalid argument.
_READ: dict[str, Any] = {"permission": Permission.READ, "scope_of": None, "failures": (400,)}
_WRITE: dict[str, Any] = {"permission": Permission.WRITE, "scope_of": None, "failures": (400, 429, 501, 507)}
_DATABASE_SCOPE: dict[str, Any] = {"scope_of": translate.query_scope}

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        COLLECTION + "/query",
        "v1.records.query",
        records.query,
        _TAG,
        "Find the records nearest to each query vector",
        models.QueryRecords,
        v1_responses.V1QueryResponse,
        **_READ,
    ),
    Route(
        "POST",
        COLLECTION + "/get",
        "v1.records.get",
        records.get,
        _TAG,
        "Get records by id or filter, in insertion order",
        models.GetRecords,
        v1_responses.V1GetResponse,
        **_READ,
    ),
    Route(
        "POST",
        COLLECTION + "/add",
        "v1.records.add",
        records.add,
        _TAG,
        "Add records; existing ids are skipped",
        models.AddRecords,
        bool,
        success=201,
        **_WRITE,
    ),
    Route(
        "POST",
        COLLECTION + "/upsert",
        "v1.records.upsert",
        records.upsert,
        _TAG,
        "Insert records, or update existing ones",
        models.UpsertRecords,
        bool,
        **_WRITE,
    ),
    Route(
        "POST",
        COLLECTION + "/update",
        "v1.records.update",
        records.update,
        _TAG,
        "Update records; unknown ids are skipped",
        models.UpdateRecords,
        bool,
        **_WRITE,
    ),
    Route(
        "POST",
        COLLECTION + "/delete",
        "v1.records.delete",
        records.delete,
        _TAG,
        "Delete records by id or filter",
        models.DeleteRecords,
        _NULL,
        **_WRITE,
    ),
    Route(
        "GET",
        COLLECTION + "/count",
        "v1.records.count",
        records.count,
        _TAG,
        "Count a collection's records",
        response=int,
        **_READ,
    ),
    Route(
        "GET",
        COLLECTION,
        "v1.collections.get",
        collections.get,
        _TAG,
        "Get a collection by name",
        response=v1_responses.V1Collection,
        failures=(400,),
        query=_SCOPE,
        permission=Permission.READ,
        **_DATABASE_SCOPE,
    ),
    Route(
        "PUT",
        COLLECTION,
        "v1.collections.update",
        collections.update,
        _TAG,
        "Rename a collection (by id), replace its metadata",
        models.UpdateCollection,
        _NULL,
        failures=(400, 409, 507),
        permission=Permission.WRITE,
        scope_of=None,
    ),
    Route(
        "DELETE",
        COLLECTION,
        "v1.collections.delete",
        collections.delete,
        _TAG,
        "Delete a collection by name",
        response=_NULL,
        failures=(400, 507),
        query=_SCOPE,
        permission=Permission.WRITE,
        **_DATABASE_SCOPE,
    ),
    Route(
        "GET",
        COLLECTIONS,
        "v1.collections.list_all",
        collections.list_all,
        _TAG,
        "List a database's collections, by id",
        response=list[v1_responses.V1Collection],
        failures=(400,),
        query=_SCOPE + PAGE_PARAMETERS,
        permission=Permission.READ,
        **_DATABASE_SCOPE,
    ),
    Route(
        "POST",
        COLLECTIONS,
        "v1.collections.create",
        collections.create,
        _TAG,
        "Create a collection",
        models.CreateCollection,
        v1_responses.V1Collection,
        failures=(400, 409, 507),
        query=_SCOPE,
        permission=Permission.WRITE,
        read_only=collections.get_for_reader,
        **_DATABASE_SCOPE,
    ),
    Route(
        "GET",
        API + "/count_collections",
        "v1.collections.count",
        collections.count,
        _TAG,
        "Count a database's collections",
        response=int,
        failures=(400,),
        query=_SCOPE,
        permission=Permission.READ,
        **_DATABASE_SCOPE,
    ),
    Route(
        "GET",
        API + "/databases/{database}",
        "v1.tenants.get_database",
        tenants.get_database,
        _TAG,
        "Get a database",
        response=responses.Database,
        failures=(400, 404),
        query=(_TENANT,),
        permission=Permission.READ,
        **_DATABASE_SCOPE,
    ),
    Route(
        "POST",
        API + "/databases",
        "v1.tenants.create_database",
        tenants.create_database,
        _TAG,
        "Create a database",
        models.CreateDatabase,
        _NULL,
        failures=(400, 404, 409, 507),
        query=(_TENANT,),
        permission=Permission.ADMIN,
        scope_of=translate.query_tenant_scope,
    ),
    Route(
        "POST",
        API + "/tenants",
        "v1.tenants.create_tenant",
        tenants.create_tenant,
        _TAG,
        "Create a tenant",
        models.CreateTenant,
        _NULL,
        failures=(400, 409, 507),
        permission=Permission.ADMIN,
    ),
    Route(
        "GET",
        API + "/tenants/{tenant}",
        "v1.tenants.get_tenant",
        tenants.get_tenant,
        _TAG,
        "Get a tenant",
        response=v1_responses.V1Tenant,
        failures=(400, 404),
        permission=Permission.READ,
    ),
    Route(
        "GET",
        API,
        "v1.system.heartbeat",
        system.heartbeat,
        _TAG,
        "The server's clock",
        response=responses.Heartbeat,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/heartbeat",
        "v1.system.heartbeat",
        system.heartbeat,
        _TAG,
        "The server's clock",
        response=responses.Heartbeat,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/version",
        "v1.system.version",
        system.version,
        _TAG,
        "The last version of Chroma that served v1 alone",
        response=str,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "GET",
        API + "/pre-flight-checks",
        "v1.system.pre_flight_checks",
        system.pre_flight_checks,
        _TAG,
        "Limits of the server that clients read before they write",
        response=v1_responses.V1PreFlight,
        execution=Execution.EVENT_LOOP,
        permission=Permission.PUBLIC,
    ),
    Route(
        "POST",
        API + "/reset",
        "v1.system.reset",
        system.reset,
        _TAG,
        "Delete all data, if the server allows it",
        response=bool,
        failures=(403, 507),
        permission=Permission.ADMIN,
    ),
)
