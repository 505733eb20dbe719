"""The routes of a tenant's API keys."""

from typing import TYPE_CHECKING

from afterglow.api.http.late import late
from afterglow.api.http.request_params import PAGE_PARAMETERS
from afterglow.api.http.route import Route
from afterglow.api.v2.routes.paths import API
from afterglow.auth import Permission

if TYPE_CHECKING:
    from afterglow.api import models, responses
    from afterglow.api.v2 import keys
else:
    models = late("afterglow.api.models")
    responses = late("afterglow.api.responses")
    keys = late("afterglow.api.v2.keys")

_KEYS = API + "/tenants/{tenant}/keys"

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        _KEYS,
        "keys.list_keys",
        keys.list_keys,
        "Keys",
        "List a tenant's API keys, oldest first",
        response=list[responses.Key],
        failures=(400, 404),
        query=PAGE_PARAMETERS,
        permission=Permission.ADMIN,
    ),
    Route(
        "POST",
        _KEYS,
        "keys.create_key",
        keys.create_key,
        "Keys",
        "Create an API key; the text is shown once",
        models.CreateKey,
        responses.CreatedKey,
        failures=(400, 404, 429, 507),
        permission=Permission.ADMIN,
    ),
    Route(
        "DELETE",
        _KEYS + "/{key}",
        "keys.revoke_key",
        keys.revoke_key,
        "Keys",
        "Revoke an API key",
        response=responses.EmptyResponse,
        failures=(404, 507),
        permission=Permission.ADMIN,
    ),
)
