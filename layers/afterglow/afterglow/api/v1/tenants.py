"""Handlers of v1's tenant and database routes."""

import orjson

from afterglow.api import tenants
from afterglow.api.errors import UniqueConstraint
from afterglow.api.service import Answer, Call, Service
from afterglow.api.v1 import calls
from afterglow.errors import AlreadyExists, NotFound

_NULL = b"null"


def create_tenant(service: Service, call: Call) -> Answer:
    """Make a tenant."""
    try:
        tenants.create_tenant(service, call)
    except AlreadyExists:
        name = orjson.loads(call.body)["name"]
        raise UniqueConstraint(f"Tenant {name} already exists") from None
    return Answer(_NULL)


def get_tenant(service: Service, call: Call) -> Answer:
    """A tenant's name."""
    try:
        tenants.get_tenant(service, call)
    except NotFound:
        raise NotFound(f"Tenant {call.part('tenant')} not found") from None
    return Answer(orjson.dumps({"name": call.part("tenant")}))


def create_database(service: Service, call: Call) -> Answer:
    """Make a database."""
    placed = calls.within_tenant(call)
    try:
        tenants.create_database(service, placed)
    except AlreadyExists:
        name = orjson.loads(call.body)["name"]
        raise UniqueConstraint(f"Database {name} already exists for tenant {placed.part('tenant')}") from None
    except NotFound:
        raise NotFound(f"Tenant {placed.part('tenant')} not found") from None
    return Answer(_NULL)


def get_database(service: Service, call: Call) -> Answer:
    """One database."""
    placed = calls.within_tenant(call)
    try:
        return tenants.get_database(service, placed)
    except NotFound:
        raise NotFound(
            f"Database {placed.part('database')} not found for tenant {placed.part('tenant')}. Are you sure it exists?"
        ) from None
