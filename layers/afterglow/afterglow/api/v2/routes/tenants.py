"""The routes of databases and tenants."""

from typing import TYPE_CHECKING

from afterglow.api.http.late import late
from afterglow.api.http.request_params import PAGE_PARAMETERS
from afterglow.api.http.route import Route
from afterglow.api.v2.routes.paths import API, DATABASE, DATABASES
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import models, responses
    from afterglow.api.v2 import tenants
else:
    models = late("afterglow.api.models")
    responses = late("afterglow.api.responses")
    tenants = late("afterglow.api.v2.tenants")

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        DATABASE,
        "tenants.get_database",
        tenants.get_database,
        "Databases",
        "Get a database",
        response=responses.Database,
        failures=(400, 404),
        permission=Permission.READ,
        restricted=tenants.get_database,
    ),
    Route(
        "DELETE",
        DATABASE,
        "tenants.delete_database",
        tenants.delete_database,
        "Databases",
        "Delete a database and its collections",
        response=responses.EmptyResponse,
        failures=(404, 507),
        permission=Permission.ADMIN,
    ),
    Route(
        "GET",
        DATABASES,
        "tenants.list_databases",
        tenants.list_databases,
        "Databases",
        "List a tenant's databases, by name",
        response=list[responses.Database],
        failures=(400,),
        query=PAGE_PARAMETERS,
        permission=Permission.READ,
        restricted=tenants.list_databases,
    ),
    Route(
        "POST",
        DATABASES,
        "tenants.create_database",
        tenants.create_database,
        "Databases",
        "Create a database",
        models.CreateDatabase,
        responses.EmptyResponse,
        failures=(400, 404, 409, 507),
        permission=Permission.ADMIN,
    ),
    Route(
        "POST",
        API + "/tenants",
        "tenants.create_tenant",
        tenants.create_tenant,
        "Tenants",
        "Create a tenant",
        models.CreateTenant,
        responses.EmptyResponse,
        failures=(400, 409, 507),
        permission=Permission.ADMIN,
    ),
    Route(
        "GET",
        API + "/tenants/{tenant}",
        "tenants.get_tenant",
        tenants.get_tenant,
        "Tenants",
        "Get a tenant",
        response=responses.Tenant,
        failures=(404,),
        permission=Permission.READ,
        restricted=tenants.get_tenant,
    ),
    Route(
        "PATCH",
        API + "/tenants/{tenant}",
        "tenants.update_tenant",
        tenants.update_tenant,
        "Tenants",
        "Set a tenant's resource name, once",
        models.UpdateTenant,
        responses.EmptyResponse,
        failures=(400, 404, 409, 507),
        permission=Permission.ADMIN,
    ),
)
