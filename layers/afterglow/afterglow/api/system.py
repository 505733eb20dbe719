"""Handlers of the system routes. All but `reset` and `healthcheck` answer from what the process knows."""

import orjson

from afterglow.api.service import Answer, Call, Service
from afterglow.catalog.tenants import DEFAULT_DATABASE, DEFAULT_TENANT
from afterglow.errors import AfterglowError, PermissionDenied

_API_VERSION = "1.0.0"


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
    """Who the caller is: there is one user."""
    del service, call
    return Answer(orjson.dumps({"user_id": "", "tenant": DEFAULT_TENANT, "databases": [DEFAULT_DATABASE]}))


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
