"""Handlers of the tenant and database routes."""

from typing import Any

import orjson

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.validation import json_body
from afterglow.catalog import names
from afterglow.catalog.model import Database

_EMPTY = b"{}"


def create_tenant(context: AppContext, request: Request) -> Response:
    """Create a tenant."""
    body = json_body.parse(models.CreateTenant, request.body)
    names.validate_tenant_name(body.name)
    context.engine.catalog.create_tenant(body.name)
    return Response(_EMPTY)


def get_tenant(context: AppContext, request: Request) -> Response:
    """A tenant's name and resource name."""
    name = request.path_part("tenant")
    resource_name = context.engine.catalog.get_tenant(name)
    return Response(orjson.dumps({"name": name, "resource_name": resource_name}))


def update_tenant(context: AppContext, request: Request) -> Response:
    """Set a tenant's resource name, once."""
    body = json_body.parse(models.UpdateTenant, request.body)
    context.engine.catalog.set_resource_name(request.path_part("tenant"), body.resource_name)
    return Response(_EMPTY)


def create_database(context: AppContext, request: Request) -> Response:
    """Create a database."""
    body = json_body.parse(models.CreateDatabase, request.body)
    names.validate_name(body.name)
    context.engine.catalog.create_database(request.path_part("tenant"), body.name)
    return Response(_EMPTY)


def list_databases(context: AppContext, request: Request) -> Response:
    """A tenant's databases that the caller may see, by name."""
    limit, offset = request_params.limit_and_offset(request)
    tenant = request.path_part("tenant")
    databases = [
        database
        for database in context.engine.catalog.list_databases(tenant)
        if request.grant.can_see(tenant, database.name)
    ]
    page = databases[offset:] if limit is None else databases[offset : offset + limit]
    return Response(orjson.dumps([_to_json(database) for database in page]))


def get_database(context: AppContext, request: Request) -> Response:
    """One database."""
    tenant, name = request_params.tenant_and_database(request)
    return Response(orjson.dumps(_to_json(context.engine.catalog.get_database(tenant, name))))


def delete_database(context: AppContext, request: Request) -> Response:
    """Delete a database and its collections."""
    context.engine.delete_database(request.path_part("tenant"), request.path_part("database"))
    return Response(_EMPTY)


def _to_json(database: Database) -> dict[str, Any]:
    return {"id": database.id, "name": database.name, "tenant": database.tenant}
