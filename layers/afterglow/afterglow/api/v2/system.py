"""Handlers of the system routes. Most answer from what the process knows."""

import orjson

from afterglow.api.http.handler import Answer, Call, Service
from afterglow.catalog.tenants import DEFAULT_DATABASE, DEFAULT_TENANT
from afterglow.errors import AfterglowError, PermissionDenied

_API_VERSION = "1.0.0"
_ALL = "*"


def heartbeat(service: Service, call: Call) -> Answer:
    """The clock, in nanoseconds."""
    del call
    return Answer(orjson.dumps({"nanosecond heartbeat": int(service.ambient.now() * 1_000_000_000)}))


def version(service: Service, call: Call) -> Answer:
    """The version of the API."""
    del service, call
    return Answer(orjson.dumps(_API_VERSION))


def pre_flight_checks(service: Service, call: Call) -> Answer:
    """What clients must know before they write."""
    del call
    limits = {"max_batch_size": service.settings.max_batch_size, "supports_base64_encoding": True}
    return Answer(orjson.dumps(limits))


def identity(service: Service, call: Call) -> Answer:
    """Who the caller is, and where: clients that were given no tenant or database take them from here.

    Where nobody is asked who they are, there is one user.
    """
    grant = call.grant
    if service.gate is None:
        tenant, databases = DEFAULT_TENANT, [DEFAULT_DATABASE]
    elif grant.tenant is None:
        tenant, databases = _ALL, [_ALL]
    elif grant.databases is None:
        tenant = grant.tenant
        databases = [each.name for each in service.engine.catalog.list_databases(tenant)]
    else:
        tenant, databases = grant.tenant, sorted(grant.databases)
    return Answer(orjson.dumps({"user_id": grant.user, "tenant": tenant, "databases": databases}))


def healthcheck(service: Service, call: Call) -> Answer:
    """Whether the stores answer: 200, or 503 with the same body."""
    del call
    try:
        service.engine.check()
    except AfterglowError:
        return Answer(_readiness(ready=False), 503)
    return Answer(_readiness(ready=True))


def reset(service: Service, call: Call) -> Answer:
    """Delete everything, where the process was started so."""
    del call
    if not service.allow_reset:
        raise PermissionDenied("Reset is disabled by config")
    service.engine.reset()
    return Answer(b"true")


def _readiness(*, ready: bool) -> bytes:
    return orjson.dumps({"is_executor_ready": ready, "is_log_client_ready": ready})
