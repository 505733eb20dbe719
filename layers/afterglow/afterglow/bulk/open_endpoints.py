"""The side of a move that the options name: a server, a directory or an account."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from afterglow.bulk.chroma_client import ChromaConnection
from afterglow.bulk.endpoint import Endpoint
from afterglow.bulk.http_endpoint import HttpEndpoint
from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.collection import Engine
from afterglow.deployment.local import require_data_directory
from afterglow.deployment.open import open_deployment, open_stores
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System


@contextmanager
def open_source(url: str | None, path: Path | None, settings: Settings, system: System) -> Iterator[Endpoint]:
    """What is there already: a server, else a directory, else (neither) the account. Raises NotFound, Unavailable."""
    if url is not None:
        with closing(ChromaConnection(url, system, settings.api_key)) as connection:
            yield HttpEndpoint(connection)
        return
    with open_stores(path and require_data_directory(path), settings, system) as stores:
        yield LocalEndpoint(stores, Engine(stores))


@contextmanager
def open_target(url: str | None, path: Path | None, settings: Settings, system: System) -> Iterator[Endpoint]:
    """The same, made where it is not there, and with an indexer that follows what is written.

    Nobody else may look after a directory: what was written to it is indexed in the end.
    """
    if url is not None:
        with closing(ChromaConnection(url, system, settings.api_key)) as connection:
            yield HttpEndpoint(connection)
        return
    place = open_deployment(path, settings, system)
    engine = start_engine(place, settings, system)
    try:
        side = LocalEndpoint(engine.stores, engine)
        yield side
        if path is not None:
            side.wait_until_indexed()
    finally:
        engine.close()
