"""The side of a move that the options name: a server, a directory or an account."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from afterglow.bulk.chroma_client import Connection
from afterglow.bulk.endpoint import Side
from afterglow.bulk.http_endpoint import Remote
from afterglow.bulk.local_endpoint import Local
from afterglow.collection import Engine
from afterglow.deployment.local import existing
from afterglow.deployment.open import open_place, opened
from afterglow.jobs.start import start_engine
from afterglow.settings import Ambient, Settings


@contextmanager
def reading(url: str | None, path: Path | None, settings: Settings, ambient: Ambient) -> Iterator[Side]:
    """What is there already: a server, else a directory, else (neither) the account. Raises NotFound, Unavailable."""
    if url is not None:
        with closing(Connection(url, ambient, settings.api_key)) as connection:
            yield Remote(connection)
        return
    with opened(path and existing(path), settings, ambient) as stores:
        yield Local(stores, Engine(stores))


@contextmanager
def writing(url: str | None, path: Path | None, settings: Settings, ambient: Ambient) -> Iterator[Side]:
    """The same, made where it is not there, and with an indexer that follows what is written.

    Nobody else may look after a directory: what was written to it is indexed in the end.
    """
    if url is not None:
        with closing(Connection(url, ambient, settings.api_key)) as connection:
            yield Remote(connection)
        return
    place = open_place(path, settings, ambient)
    engine = start_engine(place, settings, ambient)
    try:
        side = Local(engine.stores, engine)
        yield side
        if path is not None:
            side.wait_until_indexed()
    finally:
        engine.close()
