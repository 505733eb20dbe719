"""Handlers of the system routes. Most answer from what the process knows."""

import orjson

from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.catalog.tenants import DEFAULT_DATABASE, DEFAULT_TENANT
from afterglow.errors import AfterglowError, PermissionDenied

_API_VERSION = "1.0.0"
_ALL = "*"


def heartbeat(service: AppContext, call: Request) -> Response:
    """The clock, in nanoseconds."""
    del call
    return Response(orjson.dumps({"nanosecond heartbeat": int(service.system.now() * 1_000_000_000)}))


def version(service: AppContext, call: Request) -> Response:
    """The version of the API."""
    del service, call
    return Response(orjson.dumps(_API_VERSION))


def pre_flight_checks(service: AppContext, call: Request) -> Response:
    """What clients must know before they write."""
    del call
    limits = {"max_batch_size": service.settings.max_batch_size, "supports_base64_encoding": True}
    return Response(orjson.dumps(limits))


def identity(service: AppContext, call: Request) -> Response:
    """Who the caller is, and where: clients that were given no tenant or database take them from here.

    Where nobody is asked who they are, there is one user.
    """
    grant = call.grant
    if service.authenticator is None:
        tenant, databases = DEFAULT_TENANT, [DEFAULT_DATABASE]
    elif grant.tenant is None:
        tenant, databases = _ALL, [_ALL]
    elif grant.databases is None:
        tenant = grant.tenant
        databases = [each.name for each in service.engine.catalog.list_databases(tenant)]
    else:
        tenant, databases = grant.tenant, sorted(grant.databases)
    return Response(orjson.dumps({"user_id": grant.user, "tenant": tenant, "databases": databases}))


def healthcheck(service: AppContext, call: Request) -> Response:
    """Whether the stores answer: 200, or 503 with the same body."""
    del call
    try:
        service.engine.check()
    except AfterglowError:
        return Response(_readiness(ready=False), 503)
    return Response(_readiness(ready=True))


def reset(service: AppContext, call: Request) -> Response:
    """Delete everything, where the process was started so."""
    del call
    if not service.allow_reset:
        raise PermissionDenied("Reset is disabled by config")
    service.engine.reset()
    return Response(b"true")


def _readiness(*, ready: bool) -> bytes:
    return orjson.dumps({"is_executor_ready": ready, "is_log_client_ready": ready})
