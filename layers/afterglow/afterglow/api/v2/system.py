"""Handlers of the system routes. Most need no store."""

import orjson

from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.catalog.tenants import DEFAULT_DATABASE, DEFAULT_TENANT
from afterglow.errors import AfterglowError, NotFound, PermissionDenied

_API_VERSION = "1.0.0"
_ALL = "*"
ROLE = b"afterglow-role"
"""Header of the identity with the caller's role; a field in the body would fail in clients."""
_METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


def heartbeat(context: AppContext, request: Request) -> Response:
    """The clock, in nanoseconds."""
    del request
    return Response(orjson.dumps({"nanosecond heartbeat": int(context.system.now() * 1_000_000_000)}))


def version(context: AppContext, request: Request) -> Response:
    """The version of the API."""
    del context, request
    return Response(orjson.dumps(_API_VERSION))


def pre_flight_checks(context: AppContext, request: Request) -> Response:
    """Limits of the server that clients read before they write."""
    del request
    limits = {"max_batch_size": context.settings.max_batch_size, "supports_base64_encoding": True}
    return Response(orjson.dumps(limits))


def identity(context: AppContext, request: Request) -> Response:
    """The caller's identity and scope; clients configured without a tenant or database read them here.

    A header has the role. Without authentication every caller is the same user.
    """
    grant = request.grant
    if context.authenticator is None:
        tenant, databases = DEFAULT_TENANT, [DEFAULT_DATABASE]
    elif grant.tenant is None:
        tenant, databases = _ALL, [_ALL]
    elif grant.databases is None:
        tenant = grant.tenant
        databases = [database.name for database in context.engine.catalog.list_databases(tenant)]
    else:
        tenant, databases = grant.tenant, sorted(grant.databases)
    role = b"" if grant.role is None else grant.role.name.lower().encode()
    body = {"user_id": grant.user, "tenant": tenant, "databases": databases}
    return Response(orjson.dumps(body), headers=[(ROLE, role)])


def healthcheck(context: AppContext, request: Request) -> Response:
    """Whether the stores are available: 200, or 503 with the same body."""
    del request
    try:
        context.engine.check()
    except AfterglowError:
        return Response(_readiness(ready=False), 503)
    return Response(_readiness(ready=True))


def health(context: AppContext, request: Request) -> Response:
    """That the process serves requests; touches no store."""
    del context, request
    return Response(b'{"status":"ok"}')


def ready(context: AppContext, request: Request) -> Response:
    """Whether requests would succeed: 200, or 503 with what is wrong."""
    del request
    problems = [problem for check in context.checks if (problem := check()) is not None]
    try:
        context.engine.check()
    except AfterglowError as error:
        problems.append(error.message)
    return Response(orjson.dumps({"ready": not problems, "problems": problems}), 503 if problems else 200)


def metrics(context: AppContext, request: Request) -> Response:
    """The metrics of the process. Raises NotFound if it has none."""
    del request
    if context.metrics is None:
        raise NotFound("this process has no metrics of its own; a deployment on AWS has them in CloudWatch")
    return Response(context.metrics(), content_type=_METRICS_TYPE)


def reset(context: AppContext, request: Request) -> Response:
    """Delete all data, if the process allows it."""
    del request
    if not context.allow_reset:
        raise PermissionDenied("Reset is disabled by config")
    context.engine.reset()
    return Response(b"true")


def _readiness(*, ready: bool) -> bytes:
    return orjson.dumps({"is_executor_ready": ready, "is_log_client_ready": ready})
