"""Opening a place as an engine that serves, and doing all of its background work at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

from afterglow.catalog import Catalog
from afterglow.collection import Engine
from afterglow.collection.replica import Replica
from afterglow.jobs.background import Indexer
from afterglow.jobs.directory import open_directory
from afterglow.jobs.index import Report, index
from afterglow.jobs.place import ACCOUNT, NoQueue, Place, sweep
from afterglow.settings import ON_AWS, Ambient, Settings, from_environment
from afterglow.storage.local.queue import ThreadQueue
from afterglow.storage.ports import Queue


def open_place(argument: str, ambient: Ambient) -> tuple[Place, Settings]:
    """The directory of this path, or the account that the environment names, and the settings for it.

    Raises Corrupt, StorageFull, Unavailable; ValueError for a variable that cannot be read.
    """
    if argument == ACCOUNT:
        from afterglow.jobs.account import open_account

        settings = from_environment(defaults=ON_AWS)
        return open_account(settings, ambient), settings
    return open_directory(Path(argument), ambient), from_environment()


def serve(place: Place, settings: Settings, ambient: Ambient, queue: Queue | None = None) -> Engine:
    """The engine over the place. Where no `queue` tells an indexer elsewhere, one runs in the background here."""
    listening = ThreadQueue(ambient) if queue is None else None
    stores = place.stores(settings, ambient, queue or listening or NoQueue())
    indexer = None if listening is None else Indexer(place, stores, listening)
    engine = Engine(
        stores,
        background=ThreadPoolExecutor(1, thread_name_prefix="afterglow-refresh"),
        on_close=() if indexer is None else (indexer.close,),
    )
    engine.catalog.ensure_defaults()
    if indexer is not None:
        indexer.start()
    return engine


def compact(place: Place, settings: Settings, ambient: Ambient, collection: UUID | None = None) -> Iterator[Report]:
    """Fold and merge every collection of the place (or one), here and now; a report for each."""
    stores = place.stores(settings, ambient, NoQueue())
    chosen = list(Catalog(stores.table, ambient).collections()) if collection is None else [collection]
    with place.alone():
        for each in chosen:
            yield index(stores, Replica(stores, each), each, quiet=True)
    sweep(place, stores, thorough=True)
    stores.table.close()
