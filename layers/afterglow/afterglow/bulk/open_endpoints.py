"""Opens the endpoint that a command's options name: a server, a directory or an account."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from afterglow.bulk.endpoint import Endpoint
from afterglow.bulk.http_connection import HttpConnection
from afterglow.bulk.http_endpoint import HttpEndpoint
from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.collection import Engine
from afterglow.deployment.local import require_data_directory
from afterglow.deployment.open import open_deployment, open_stores
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System


@contextmanager
def open_source(url: str | None, path: Path | None, settings: Settings, system: System) -> Iterator[Endpoint]:
    """An existing endpoint: the server, else the directory, else the account. Raises NotFound, Unavailable."""
    if url is not None:
        with closing(HttpConnection(url, system, settings.api_key)) as connection:
            yield HttpEndpoint(connection)
        return
    path = path and require_data_directory(path)
    with open_stores(path, settings, system) as stores, closing(Engine(stores)) as engine:
        yield LocalEndpoint(stores, engine)


@contextmanager
def open_target(url: str | None, path: Path | None, settings: Settings, system: System) -> Iterator[Endpoint]:
    """The same, created if it does not exist, with an indexer that follows the writes.

    A directory may have no other indexer: on exit everything written to it is indexed.
    """
    if url is not None:
        with closing(HttpConnection(url, system, settings.api_key)) as connection:
            yield HttpEndpoint(connection)
        return
    deployment = open_deployment(path, settings, system)
    engine = start_engine(deployment, settings, system)
    try:
        endpoint = LocalEndpoint(engine.stores, engine)
        yield endpoint
        if path is not None:
            endpoint.wait_until_indexed()
    finally:
        engine.close()
