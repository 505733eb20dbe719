"""The v1 routes of databases and tenants."""

from typing import TYPE_CHECKING

from afterglow.api.http.late import late
from afterglow.api.http.route import Route
from afterglow.api.v1.routes.paths import API, TAG, TENANT
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import models, responses
    from afterglow.api.v1 import responses as v1_responses
    from afterglow.api.v1 import tenants, translate
else:
    models = late("afterglow.api.models")
    responses = late("afterglow.api.responses")
    tenants = late("afterglow.api.v1.tenants")
    translate = late("afterglow.api.v1.translate")
    v1_responses = late("afterglow.api.v1.responses")

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        API + "/databases/{database}",
        "v1.tenants.get_database",
        tenants.get_database,
        TAG,
        "Get a database",
        response=responses.Database,
        failures=(400, 404),
        query=(TENANT,),
        permission=Permission.READ,
        restricted=tenants.get_database,
        scope_of=translate.query_scope,
    ),
    Route(
        "POST",
        API + "/databases",
        "v1.tenants.create_database",
        tenants.create_database,
        TAG,
        "Create a database",
        models.CreateDatabase,
        type(None),
        failures=(400, 404, 409, 507),
        query=(TENANT,),
        permission=Permission.ADMIN,
        scope_of=translate.query_tenant_scope,
    ),
    Route(
        "POST",
        API + "/tenants",
        "v1.tenants.create_tenant",
        tenants.create_tenant,
        TAG,
        "Create a tenant",
        models.CreateTenant,
        type(None),
        failures=(400, 409, 507),
        permission=Permission.ADMIN,
    ),
    Route(
        "GET",
        API + "/tenants/{tenant}",
        "v1.tenants.get_tenant",
        tenants.get_tenant,
        TAG,
        "Get a tenant",
        response=v1_responses.V1Tenant,
        failures=(400, 404),
        permission=Permission.READ,
        restricted=tenants.get_tenant,
    ),
)
