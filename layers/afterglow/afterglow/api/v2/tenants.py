"""Handlers of the tenant and database routes."""

from typing import Any

import orjson

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import Answer, Call, Service
from afterglow.api.validation import json_body
from afterglow.catalog import names
from afterglow.catalog.model import Database

_NOTHING = b"{}"


def create_tenant(service: Service, call: Call) -> Answer:
    """Make a tenant."""
    request = json_body.parse(models.CreateTenant, call.body)
    names.validate_tenant_name(request.name)
    service.engine.catalog.create_tenant(request.name)
    return Answer(_NOTHING)


def get_tenant(service: Service, call: Call) -> Answer:
    """A tenant's name and resource name."""
    name = call.part("tenant")
    resource_name = service.engine.catalog.get_tenant(name)
    return Answer(orjson.dumps({"name": name, "resource_name": resource_name}))


def update_tenant(service: Service, call: Call) -> Answer:
    """Give a tenant its resource name, once."""
    request = json_body.parse(models.UpdateTenant, call.body)
    service.engine.catalog.set_resource_name(call.part("tenant"), request.resource_name)
    return Answer(_NOTHING)


def create_database(service: Service, call: Call) -> Answer:
    """Make a database."""
    request = json_body.parse(models.CreateDatabase, call.body)
    names.validate_name(request.name)
    service.engine.catalog.create_database(call.part("tenant"), request.name)
    return Answer(_NOTHING)


def list_databases(service: Service, call: Call) -> Answer:
    """A tenant's databases, by name: those that the caller may know of."""
    limit, offset = request_params.page(call)
    tenant = call.part("tenant")
    found = [each for each in service.engine.catalog.list_databases(tenant) if call.grant.sees(tenant, each.name)]
    chosen = found[offset:] if limit is None else found[offset : offset + limit]
    return Answer(orjson.dumps([_database(each) for each in chosen]))


def get_database(service: Service, call: Call) -> Answer:
    """One database."""
    tenant, name = request_params.place(call)
    return Answer(orjson.dumps(_database(service.engine.catalog.get_database(tenant, name))))


def delete_database(service: Service, call: Call) -> Answer:
    """Drop a database and its collections."""
    service.engine.delete_database(call.part("tenant"), call.part("database"))
    return Answer(_NOTHING)


def _database(database: Database) -> dict[str, Any]:
    return {"id": database.id, "name": database.name, "tenant": database.tenant}
