"""Handlers of the tenant and database routes."""

from typing import Any

import orjson

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.validation import json_body
from afterglow.catalog import names
from afterglow.catalog.model import Database

_NOTHING = b"{}"


def create_tenant(service: AppContext, call: Request) -> Response:
    """Make a tenant."""
    request = json_body.parse(models.CreateTenant, call.body)
    names.validate_tenant_name(request.name)
    service.engine.catalog.create_tenant(request.name)
    return Response(_NOTHING)


def get_tenant(service: AppContext, call: Request) -> Response:
    """A tenant's name and resource name."""
    name = call.path_part("tenant")
    resource_name = service.engine.catalog.get_tenant(name)
    return Response(orjson.dumps({"name": name, "resource_name": resource_name}))


def update_tenant(service: AppContext, call: Request) -> Response:
    """Give a tenant its resource name, once."""
    request = json_body.parse(models.UpdateTenant, call.body)
    service.engine.catalog.set_resource_name(call.path_part("tenant"), request.resource_name)
    return Response(_NOTHING)


def create_database(service: AppContext, call: Request) -> Response:
    """Make a database."""
    request = json_body.parse(models.CreateDatabase, call.body)
    names.validate_name(request.name)
    service.engine.catalog.create_database(call.path_part("tenant"), request.name)
    return Response(_NOTHING)


def list_databases(service: AppContext, call: Request) -> Response:
    """A tenant's databases, by name: those that the caller may know of."""
    limit, offset = request_params.limit_and_offset(call)
    tenant = call.path_part("tenant")
    found = [each for each in service.engine.catalog.list_databases(tenant) if call.grant.can_see(tenant, each.name)]
    chosen = found[offset:] if limit is None else found[offset : offset + limit]
    return Response(orjson.dumps([_database(each) for each in chosen]))


def get_database(service: AppContext, call: Request) -> Response:
    """One database."""
    tenant, name = request_params.tenant_and_database(call)
    return Response(orjson.dumps(_database(service.engine.catalog.get_database(tenant, name))))


def delete_database(service: AppContext, call: Request) -> Response:
    """Drop a database and its collections."""
    service.engine.delete_database(call.path_part("tenant"), call.path_part("database"))
    return Response(_NOTHING)


def _database(database: Database) -> dict[str, Any]:
    return {"id": database.id, "name": database.name, "tenant": database.tenant}
