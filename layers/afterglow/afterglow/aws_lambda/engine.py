"""The engine of the API function."""

import logging

from afterglow.collection import Engine
from afterglow.deployment.base import Deployment, NullQueue
from afterglow.errors import Busy, Unavailable
from afterglow.settings import Settings, System

_log = logging.getLogger(__name__)


def open_engine(deployment: Deployment, settings: Settings, system: System) -> Engine:
    """The engine for a function, which does nothing between its requests: no threads, no indexer of its own.

    A table that does not answer just now does not end the function: its requests then say so.
    """
    engine = Engine(deployment.stores(settings, system, deployment.queue or NullQueue()))
    try:
        engine.catalog.ensure_defaults()
    except (Busy, Unavailable) as error:
        _log.warning("the default tenant and database could not be looked for: %s", error)
    return engine
