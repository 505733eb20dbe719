"""Handlers of the collection routes, and a collection's JSON."""

from typing import Any

import orjson
from pydantic import BaseModel

from afterglow.api import legacy, models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.validation import json_body, metadata
from afterglow.catalog import names, schema
from afterglow.catalog.model import Collection
from afterglow.collection.replica import indexing_progress
from afterglow.collection.types import Scope
from afterglow.errors import InvalidArgument, NotFound

_NOTHING = b"{}"


def create(service: AppContext, call: Request) -> Response:
    """Make a collection, or answer the one that is there."""
    request = json_body.parse(models.CreateCollection, call.body)
    tenant, database = request_params.tenant_and_database(call)
    given = metadata.check_collection(request.metadata, "metadata", nulls=False)
    names.validate_collection_name(request.name)
    stored = schema.reconcile(_dict(request.configuration), _dict(request.given_schema), given, service.threads)
    try:
        collection = service.engine.create_collection(
            tenant, database, request.name, given, stored, get_or_create=request.get_or_create
        )
    except NotFound as error:
        # The database went away meanwhile; the contract calls a missing database a wrong argument here.
        raise InvalidArgument(error.message) from error
    return Response(encoded(call, collection))


def list_all(service: AppContext, call: Request) -> Response:
    """A database's collections, by id."""
    limit, offset = request_params.limit_and_offset(call)
    found = service.engine.list_collections(*request_params.tenant_and_database(call), limit, offset)
    return Response(orjson.dumps([_json(call, each) for each in found]))


def count(service: AppContext, call: Request) -> Response:
    """How many collections a database has."""
    return Response(b"%d" % service.engine.count_collections(*request_params.tenant_and_database(call)))


def get(service: AppContext, call: Request) -> Response:
    """A collection by name, or by id where none has that name."""
    tenant, database = request_params.tenant_and_database(call)
    segment = call.path_part("collection_id")
    try:
        found = service.engine.get_collection(tenant, database, segment)
    except NotFound:
        of_id = _of_id(service, tenant, database, segment)
        if of_id is None:
            raise
        found = of_id
    return Response(encoded(call, found))


def get_by_id(service: AppContext, call: Request) -> Response:
    """A collection by id."""
    tenant, database = request_params.tenant_and_database(call)
    collection_id = names.parse_collection_id(
        call.path_part("collection_id"),
        "Validation error: collection_id: Invalid collection ID format, expected UUID",
    )
    try:
        found = service.engine.get_collection_by_id(Scope(tenant, database, collection_id))
    except NotFound:
        # This one route's text has no full stop.
        raise NotFound(f"Collection [{collection_id}] does not exist") from None
    return Response(encoded(call, found))


def get_by_crn(service: AppContext, call: Request) -> Response:
    """A collection by the resource name of its tenant, its database's name and its own."""
    resource_name, database, name = names.parse_crn(call.path_part("crn"))
    catalog = service.engine.catalog
    tenants = catalog.list_tenants() if call.grant.tenant is None else [call.grant.tenant]
    for tenant in tenants:
        if catalog.get_tenant(tenant) == resource_name:
            if not call.grant.can_see(tenant, database):
                raise NotFound(f"Collection [{name}] does not exist")
            return Response(encoded(call, service.engine.get_collection(tenant, database, name)))
    raise NotFound(f"Tenant with resource name [{resource_name}] not found")


def update(service: AppContext, call: Request) -> Response:
    """Rename a collection, replace its metadata, reconfigure it."""
    request = json_body.parse(models.UpdateCollection, call.body)
    scope = request_params.scope(call)
    try:
        new_metadata = metadata.check_collection(request.new_metadata, "new_metadata", nulls=True)
        if request.new_name is not None:
            names.validate_collection_name(request.new_name, "new_name")
    except InvalidArgument:
        service.engine.get_collection_by_id(scope)
        raise
    service.engine.modify_collection(scope, request.new_name, new_metadata, _dict(request.new_configuration))
    return Response(_NOTHING)


def delete(service: AppContext, call: Request) -> Response:
    """Drop a collection by name, or by id where none has that name."""
    tenant, database = request_params.tenant_and_database(call)
    segment = call.path_part("collection_id")
    try:
        service.engine.delete_collection(tenant, database, segment)
    except NotFound:
        found = _of_id(service, tenant, database, segment)
        if found is None:
            raise
        service.engine.delete_collection(tenant, database, found.name)
    return Response(_NOTHING)


def _of_id(service: AppContext, tenant: str, database: str, segment: str) -> Collection | None:
    """The collection whose id a path's segment is, where the genuine server would take it for a name only."""
    try:
        return service.engine.get_collection_by_id(Scope(tenant, database, names.parse_collection_id(segment)))
    except (InvalidArgument, NotFound):
        return None


def encoded(call: Request, collection: Collection) -> bytes:
    """The collection as JSON, in the form that the caller reads."""
    return orjson.dumps(_json(call, collection))


def _json(call: Request, collection: Collection) -> dict[str, Any]:
    answered = {
        "id": collection.id,
        "name": collection.name,
        "configuration_json": schema.configuration_json(collection.schema),
        "schema": collection.schema,
        "metadata": collection.metadata or None,
        "dimension": collection.dimension,
        "tenant": collection.tenant,
        "database": collection.database,
        "log_position": collection.flushed_seq,
        "version": indexing_progress.checkpoint_count(collection),
    }
    return legacy.collection(answered) if legacy.is_old_client(call) else answered


def _dict(model: BaseModel | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(exclude_none=True)


def fork(service: AppContext, call: Request) -> Response:
    """Make a collection that begins as this one is, or was at the moment that the query string names."""
    request = json_body.parse(models.ForkCollection, call.body)
    scope = request_params.scope(call)
    names.validate_collection_name(request.new_name, "new_name")
    made = service.engine.fork(scope, request.new_name, request_params.parse_at(call))
    return Response(encoded(call, made))


def fork_count(service: AppContext, call: Request) -> Response:
    """How many forks there are of a collection and its relatives."""
    return Response(orjson.dumps({"count": service.engine.fork_count(request_params.scope(call))}))
