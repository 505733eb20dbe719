"""Starting an engine with its background work, and running all background work at once.

The engine of the API function is opened elsewhere (`aws_lambda.engine`), so that a cold start does not import the
indexer.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

from afterglow.catalog import Catalog
from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.deployment.base import Deployment, NullQueue
from afterglow.deployment.hang_watch import OnSilence
from afterglow.jobs import erasure, gc, past, purge
from afterglow.jobs.index_scheduler import IndexScheduler, OnIndexRun
from afterglow.jobs.indexer import IndexReport, index
from afterglow.jobs.maintenance import maintain
from afterglow.settings import Settings, System
from afterglow.storage.local.queue import ThreadQueue

_GATHER_SECONDS = 0.05
"""A collection waits so long for its check after a write: a wake-up for each of many would double their cost."""


def start_engine(
    deployment: Deployment,
    settings: Settings,
    system: System,
    on_index_run: OnIndexRun | None = None,
    on_index_silence: OnSilence = lambda _: None,
) -> Engine:
    """The engine of a deployment. Without a queue to an indexer elsewhere, an indexer runs in the background here.

    `on_index_silence` gets True when a process of that indexer falls silent, and False when it no longer is.
    """
    background = ThreadPoolExecutor(1, thread_name_prefix="afterglow-refresh")
    if deployment.queue is not None:
        engine = Engine(deployment.stores(settings, system, deployment.queue), background)
        engine.catalog.ensure_defaults()
        return engine
    queue = ThreadQueue(system, _GATHER_SECONDS)
    # The queue coalesces notifications, so every write may send one.
    stores = deployment.stores(replace(settings, notify_every_ops=1, notify_every_entries=1), system, queue)
    scheduler = IndexScheduler(deployment, stores, queue, on_index_run, on_index_silence)
    engine = Engine(stores, background, scheduler)
    engine.catalog.ensure_defaults()
    scheduler.start()
    return engine


def compact_all(
    deployment: Deployment,
    settings: Settings,
    system: System,
    collection: UUID | None = None,
    *,
    forget_past: bool = False,
) -> Iterator[IndexReport]:
    """Index every collection of the deployment (or one) in this thread; yields a report for each.

    `forget_past`: afterwards delete the past of each.
    """
    stores = deployment.stores(settings, system, NullQueue())
    collection_ids = list(Catalog(stores.table, system).collections()) if collection is None else [collection]
    # First, because dropped collections may still hold objects that others share with them.
    purge.purge_dropped(stores)
    with deployment.exclusive_lock():
        for collection_id in collection_ids:
            report = index(stores, Replica.for_indexer(stores, collection_id), collection_id, idle=True)
            if forget_past:
                past.forget(stores, collection_id)
                report.collected += gc.collect_garbage(stores, collection_id)
            yield report
        erasure.advance(stores)
    maintain(deployment, stores, thorough=True)
    stores.table.close()
