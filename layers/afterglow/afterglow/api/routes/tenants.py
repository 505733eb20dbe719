"""The routes of databases and tenants."""

from afterglow.access import Need
from afterglow.api import answers, models, tenants
from afterglow.api.params import PAGE
from afterglow.api.route import Route
from afterglow.api.routes.paths import API, DATABASE, DATABASES

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        DATABASE,
        tenants.get_database,
        "Databases",
        "A database",
        response=answers.Database,
        failures=(400, 404),
        need=Need.READ,
    ),
    Route(
        "DELETE",
        DATABASE,
        tenants.delete_database,
        "Databases",
        "Drop a database and its collections",
        response=answers.Nothing,
        failures=(404, 507),
        need=Need.ADMIN,
    ),
    Route(
        "GET",
        DATABASES,
        tenants.list_databases,
        "Databases",
        "A tenant's databases, by name",
        response=list[answers.Database],
        failures=(400,),
        query=PAGE,
        need=Need.READ,
    ),
    Route(
        "POST",
        DATABASES,
        tenants.create_database,
        "Databases",
        "Make a database",
        models.CreateDatabase,
        answers.Nothing,
        failures=(400, 404, 409, 507),
        need=Need.ADMIN,
    ),
    Route(
        "POST",
        API + "/tenants",
        tenants.create_tenant,
        "Tenants",
        "Make a tenant",
        models.CreateTenant,
        answers.Nothing,
        failures=(400, 409, 507),
        need=Need.ADMIN,
    ),
    Route(
        "GET",
        API + "/tenants/{tenant}",
        tenants.get_tenant,
        "Tenants",
        "A tenant",
        response=answers.Tenant,
        failures=(404,),
        need=Need.READ,
    ),
    Route(
        "PATCH",
        API + "/tenants/{tenant}",
        tenants.update_tenant,
        "Tenants",
        "Give a tenant its resource name, once",
        models.UpdateTenant,
        answers.Nothing,
        failures=(400, 404, 409, 507),
        need=Need.ADMIN,
    ),
)
