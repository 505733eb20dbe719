"""Handlers of the routes of a tenant's API keys. Keys of every tenant are made by the command line only.

A key outlives the key that created it, so a list names the creator.
"""

from typing import Any

import orjson

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.validation import json_body
from afterglow.auth import Role
from afterglow.auth.api_keys import Key, Keys, not_found
from afterglow.auth.authenticator import takes_keys
from afterglow.collection import restriction
from afterglow.errors import Forbidden, InvalidArgument, LimitExceeded, NotFound

MAX_KEYS = 10_000
"""Limit of the keys of a deployment that may be created over HTTP, because a list reads all of them."""


def list_keys(context: AppContext, request: Request) -> Response:
    """The tenant's keys, oldest first. Raises NotFound if the server does not use keys."""
    limit, offset = request_params.limit_and_offset(request)
    tenant = request.path_part("tenant")
    found = [key for key in _keys(context).list() if key.tenant == tenant]
    page = found[offset:] if limit is None else found[offset : offset + limit]
    return Response(orjson.dumps([_to_json(key) for key in page]))


def create_key(context: AppContext, request: Request) -> Response:
    """Create a key; only this response has its text. Raises NotFound for a missing tenant or database."""
    keys, tenant = _keys(context), request.path_part("tenant")
    if request.grant.is_attenuated:
        raise Forbidden("an attenuated key creates no keys: they would outlive it")
    body = json_body.parse(models.CreateKey, request.body)
    context.engine.catalog.get_tenant(tenant)
    for database in body.databases or ():
        context.engine.catalog.get_database(tenant, database)
    if len(keys.list()) >= MAX_KEYS:
        raise LimitExceeded(f"the deployment has {MAX_KEYS} keys; revoke some, or use `afterglow keys create`")
    wheres = None if body.filters is None else tuple(sorted(map(_where, body.filters.items())))
    role = Role[body.role.upper()]
    text, key = keys.create(role, tenant, body.databases, body.name, wheres, creator=request.grant.user)
    return Response(orjson.dumps(_to_json(key) | {"key": text}))


def revoke_key(context: AppContext, request: Request) -> Response:
    """Delete a key of the tenant. Raises NotFound."""
    keys, identifier = _keys(context), request.path_part("key")
    key = keys.get(identifier)
    if key.tenant != request.path_part("tenant"):
        raise not_found(identifier)
    keys.revoke(identifier)
    return Response(b"{}")


def _keys(context: AppContext) -> Keys:
    """Raises NotFound if the server accepts no keys: keys created now would become valid once it does."""
    if not takes_keys(context.settings):
        raise NotFound("this server does not use API keys; AFTERGLOW_AUTH=keys makes it use them")
    return context.engine.keys


def _where(item: tuple[str, dict[str, Any]]) -> tuple[str, bytes]:
    collection, clause = item
    where = orjson.dumps(clause)
    try:
        restriction.check_where(where)
    except InvalidArgument as error:
        raise InvalidArgument(f"filter of {collection}: {error.message}") from None
    return collection, where


def _to_json(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role.name.lower(),
        "tenant": key.tenant,
        "databases": key.databases,
        "filters": None if key.wheres is None else {name: orjson.Fragment(where) for name, where in key.wheres},
        "created": key.created,
        "creator": key.creator,
    }
