"""Handlers of v1's tenant and database routes."""

import orjson

from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.v1 import translate
from afterglow.api.v2 import tenants
from afterglow.errors import NotFound

_NULL = b"null"


def create_tenant(service: AppContext, call: Request) -> Response:
    """Make a tenant."""
    with translate.v1_name_taken(call, "Tenant"):
        tenants.create_tenant(service, call)
    return Response(_NULL)


def get_tenant(service: AppContext, call: Request) -> Response:
    """A tenant's name."""
    try:
        tenants.get_tenant(service, call)
    except NotFound:
        raise NotFound(f"Tenant {call.path_part('tenant')} not found") from None
    return Response(orjson.dumps({"name": call.path_part("tenant")}))


def create_database(service: AppContext, call: Request) -> Response:
    """Make a database."""
    placed = translate.within_tenant(call)
    try:
        with translate.v1_name_taken(call, "Database", of=f" for tenant {placed.path_part('tenant')}"):
            tenants.create_database(service, placed)
    except NotFound:
        raise NotFound(f"Tenant {placed.path_part('tenant')} not found") from None
    return Response(_NULL)


def get_database(service: AppContext, call: Request) -> Response:
    """One database."""
    placed = translate.within_tenant(call)
    try:
        return tenants.get_database(service, placed)
    except NotFound:
        raise NotFound(
            f"Database {placed.path_part('database')} not found for tenant {placed.path_part('tenant')}. Are you sure it exists?"
        ) from None
