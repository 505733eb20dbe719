"""Opening a place as an engine that serves, and doing all of its background work at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from afterglow.catalog import Catalog
from afterglow.collection import Engine
from afterglow.collection.replica import Replica
from afterglow.errors import InvalidArgument
from afterglow.jobs import dropped
from afterglow.jobs.background import Indexer
from afterglow.jobs.directory import open_directory
from afterglow.jobs.index import Report, index
from afterglow.jobs.place import NoQueue, Place, sweep
from afterglow.settings import Ambient, Settings
from afterglow.storage.local.queue import ThreadQueue


def open_place(path: Path | None, settings: Settings, ambient: Ambient) -> Place:
    """The directory of this path, or (None) the AWS account that the settings name.

    Raises Corrupt, StorageFull, Unavailable, InvalidArgument.
    """
    if path is not None:
        return open_directory(path, ambient)
    try:
        from afterglow.jobs.account import open_account
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise InvalidArgument(
            f"{missing} is not installed, which an AWS account needs: pip install 'afterglow[aws]'"
        ) from None

    return open_account(settings, ambient)


def serve(place: Place, settings: Settings, ambient: Ambient) -> Engine:
    """The engine over the place. Where no queue tells an indexer elsewhere, one runs in the background here."""
    background = ThreadPoolExecutor(1, thread_name_prefix="afterglow-refresh")
    if place.queue is not None:
        engine = Engine(place.stores(settings, ambient, place.queue), background)
        engine.catalog.ensure_defaults()
        return engine
    queue = ThreadQueue(ambient)
    # The queue merges nudges, so that each write may be one.
    stores = place.stores(replace(settings, nudge_ops=1, nudge_entries=1), ambient, queue)
    indexer = Indexer(place, stores, queue)
    engine = Engine(stores, background, on_close=[indexer.close])
    engine.catalog.ensure_defaults()
    indexer.start()
    return engine


def compact(place: Place, settings: Settings, ambient: Ambient, collection: UUID | None = None) -> Iterator[Report]:
    """Fold and merge every collection of the place (or one), here and now; a report for each."""
    stores = place.stores(settings, ambient, NoQueue())
    chosen = list(Catalog(stores.table, ambient).collections()) if collection is None else [collection]
    # First, as what was dropped may still hold what others share with it.
    dropped.clear(stores)
    with place.alone():
        for each in chosen:
            yield index(stores, Replica.for_indexer(stores, each), each, quiet=True)
    sweep(place, stores, thorough=True)
    stores.table.close()
