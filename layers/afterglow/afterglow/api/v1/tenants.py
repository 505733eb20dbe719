"""Handlers of v1's tenant and database routes."""

import orjson

from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.v1 import translate
from afterglow.api.v2 import tenants
from afterglow.errors import NotFound

_NULL = b"null"


def create_tenant(context: AppContext, request: Request) -> Response:
    """Create a tenant."""
    with translate.v1_name_taken(request, "Tenant"):
        tenants.create_tenant(context, request)
    return Response(_NULL)


def get_tenant(context: AppContext, request: Request) -> Response:
    """A tenant's name."""
    try:
        tenants.get_tenant(context, request)
    except NotFound:
        raise NotFound(f"Tenant {request.path_part('tenant')} not found") from None
    return Response(orjson.dumps({"name": request.path_part("tenant")}))


def create_database(context: AppContext, request: Request) -> Response:
    """Create a database."""
    v2_request = translate.with_tenant(request)
    tenant = v2_request.path_part("tenant")
    try:
        with translate.v1_name_taken(request, "Database", suffix=f" for tenant {tenant}"):
            tenants.create_database(context, v2_request)
    except NotFound:
        raise NotFound(f"Tenant {tenant} not found") from None
    return Response(_NULL)


def get_database(context: AppContext, request: Request) -> Response:
    """One database."""
    v2_request = translate.with_tenant(request)
    try:
        return tenants.get_database(context, v2_request)
    except NotFound:
        database, tenant = v2_request.path_part("database"), v2_request.path_part("tenant")
        raise NotFound(f"Database {database} not found for tenant {tenant}. Are you sure it exists?") from None
