"""Starting an engine over a deployment, and running all of its background work at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

from afterglow.catalog import Catalog
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.deployment.base import Deployment, NullQueue
from afterglow.jobs import purge
from afterglow.jobs.index_scheduler import IndexScheduler
from afterglow.jobs.indexer import IndexReport, index
from afterglow.jobs.maintenance import maintain
from afterglow.settings import Settings, System
from afterglow.storage.local.queue import ThreadQueue


def start_engine(place: Deployment, settings: Settings, system: System) -> Engine:
    """The engine over the place. Where no queue tells an indexer elsewhere, one runs in the background here."""
    background = ThreadPoolExecutor(1, thread_name_prefix="afterglow-refresh")
    if place.queue is not None:
        engine = Engine(place.stores(settings, system, place.queue), background)
        engine.catalog.ensure_defaults()
        return engine
    queue = ThreadQueue(system)
    # The queue merges nudges, so that each write may be one.
    stores = place.stores(replace(settings, notify_every_ops=1, notify_every_entries=1), system, queue)
    indexer = IndexScheduler(place, stores, queue)
    engine = Engine(stores, background, on_close=[indexer.close])
    engine.catalog.ensure_defaults()
    indexer.start()
    return engine


def compact_all(
    place: Deployment, settings: Settings, system: System, collection: UUID | None = None
) -> Iterator[IndexReport]:
    """Fold and merge every collection of the place (or one), here and now; a report for each."""
    stores = place.stores(settings, system, NullQueue())
    chosen = list(Catalog(stores.table, system).collections()) if collection is None else [collection]
    # First, as what was dropped may still hold what others share with it.
    purge.purge_dropped(stores)
    with place.exclusive_lock():
        for each in chosen:
            yield index(stores, Replica.for_indexer(stores, each), each, idle=True)
    maintain(place, stores, thorough=True)
    stores.table.close()
