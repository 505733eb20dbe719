"""The engine of the API function.

It is opened here and not in `jobs.start`, which imports the indexer: a cold start of the API function must not pay for
that.
"""

import logging

from afterglow.collection import Engine
from afterglow.deployment.base import Deployment, NullQueue
from afterglow.errors import Busy, Unavailable
from afterglow.settings import Settings, System

_log = logging.getLogger(__name__)


def open_engine(deployment: Deployment, settings: Settings, system: System) -> Engine:
    """The engine of a function, without threads or an indexer, because a function does nothing between requests.

    If the table is unavailable, the function starts all the same, and its requests report the error.
    """
    stores = deployment.stores(settings, system, deployment.queue or NullQueue())
    engine = Engine(stores)
    try:
        if stores.readers is not None:
            stores.readers.register()  # here, because a cold query should not wait for it
        engine.catalog.ensure_defaults()
    except (Busy, Unavailable) as error:
        _log.warning("could not prepare the table: %s", error)
    return engine
