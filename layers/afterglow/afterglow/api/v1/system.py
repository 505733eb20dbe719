"""Handlers of v1's system routes."""

import orjson

from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.v2 import system

_LAST_VERSION = "0.5.15"


def heartbeat(context: AppContext, request: Request) -> Response:
    """The clock, in nanoseconds."""
    return system.heartbeat(context, request)


def version(context: AppContext, request: Request) -> Response:
    """The last version of Chroma that served v1 alone."""
    del context, request
    return Response(orjson.dumps(_LAST_VERSION))


def pre_flight_checks(context: AppContext, request: Request) -> Response:
    """Limits of the server that clients read before they write."""
    del request
    return Response(orjson.dumps({"max_batch_size": context.settings.max_batch_size}))


def reset(context: AppContext, request: Request) -> Response:
    """Delete all data, if the process allows it."""
    return system.reset(context, request)
