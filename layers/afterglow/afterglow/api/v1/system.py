"""Handlers of v1's system routes that answer otherwise than v2's."""

import orjson

from afterglow.api.http.handler import AppContext, Request, Response
from afterglow.api.v2 import system

_LAST_VERSION = "0.5.15"


def heartbeat(service: AppContext, call: Request) -> Response:
    """The clock, in nanoseconds."""
    return system.heartbeat(service, call)


def version(service: AppContext, call: Request) -> Response:
    """The last version of the genuine server that spoke this API alone."""
    del service, call
    return Response(orjson.dumps(_LAST_VERSION))


def pre_flight_checks(service: AppContext, call: Request) -> Response:
    """What clients must know before they write."""
    del call
    return Response(orjson.dumps({"max_batch_size": service.settings.max_batch_size}))


def reset(service: AppContext, call: Request) -> Response:
    """Delete everything, where the process was started so."""
    return system.reset(service, call)
