"""Handlers of v1's tenant and database routes."""

import orjson

from afterglow.api.http.handler import Answer, Call, Service
from afterglow.api.v1 import translate
from afterglow.api.v2 import tenants
from afterglow.errors import NotFound

_NULL = b"null"


def create_tenant(service: Service, call: Call) -> Answer:
    """Make a tenant."""
    with translate.unique(call, "Tenant"):
        tenants.create_tenant(service, call)
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
    placed = translate.within_tenant(call)
    try:
        with translate.unique(call, "Database", of=f" for tenant {placed.part('tenant')}"):
            tenants.create_database(service, placed)
    except NotFound:
        raise NotFound(f"Tenant {placed.part('tenant')} not found") from None
    return Answer(_NULL)


def get_database(service: Service, call: Call) -> Answer:
    """One database."""
    placed = translate.within_tenant(call)
    try:
        return tenants.get_database(service, placed)
    except NotFound:
        raise NotFound(
            f"Database {placed.part('database')} not found for tenant {placed.part('tenant')}. Are you sure it exists?"
        ) from None
