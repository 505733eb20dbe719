"""Starting an engine over a deployment, and running all of its background work at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

from afterglow.catalog import Catalog
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.deployment.base import NoQueue, Place
from afterglow.jobs import purge
from afterglow.jobs.index_scheduler import Indexer
from afterglow.jobs.indexer import Report, index
from afterglow.jobs.maintenance import sweep
from afterglow.settings import Ambient, Settings
from afterglow.storage.local.queue import ThreadQueue


def start_engine(place: Place, settings: Settings, ambient: Ambient) -> Engine:
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


def compact_all(place: Place, settings: Settings, ambient: Ambient, collection: UUID | None = None) -> Iterator[Report]:
    """Fold and merge every collection of the place (or one), here and now; a report for each."""
    stores = place.stores(settings, ambient, NoQueue())
    chosen = list(Catalog(stores.table, ambient).collections()) if collection is None else [collection]
    # First, as what was dropped may still hold what others share with it.
    purge.clear(stores)
    with place.alone():
        for each in chosen:
            yield index(stores, Replica.for_indexer(stores, each), each, quiet=True)
    sweep(place, stores, thorough=True)
    stores.table.close()
