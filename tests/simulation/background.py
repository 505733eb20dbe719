"""The operations of background work: indexing, garbage collection, maintenance, holds of writes."""

import orjson

from afterglow.collection.replica.replica import Replica
from afterglow.collection.write.hold import hold, release
from afterglow.errors import NotFound
from afterglow.jobs import gc, index_messages, maintenance, purge
from afterglow.jobs.indexer import compact_all_segments, flush_log, index
from afterglow.storage.ports import ObjectNotFound
from tests.simulation.cast import Cast, any_collection
from tests.simulation.processes import Incarnation


def run_indexer(cast: Cast, incarnation: Incarnation) -> None:
    """Index one collection: in a directory under its lock, in an account by a message of the queue."""
    environment = cast.environment
    environment.jobs += 1
    try:
        if environment.is_account:
            index_messages.handle(incarnation.stores, _draw_message(cast))
        else:
            _index_directory(cast, incarnation)
    except (ObjectNotFound, NotFound):
        pass  # collected or dropped meanwhile; the next run finds the rest
    finally:
        environment.jobs -= 1


def _index_directory(cast: Cast, incarnation: Incarnation) -> None:
    """Flush or compact beside each other, or both alone; then collect garbage if nobody else is at work."""
    environment, stores = cast.environment, incarnation.stores
    collection_id, idle = any_collection(cast).collection, environment.random.random() < 0.6
    task = environment.random.choice(("flush", "compact", "both"))
    if task == "both":
        with environment.compaction_lock, environment.flush_lock:
            index(stores, Replica.for_indexer(stores, collection_id), collection_id, idle=idle)
        return
    if task == "compact":
        with environment.compaction_lock:
            compact_all_segments(stores, collection_id, idle=idle)
    else:
        with environment.flush_lock:
            replica = Replica.for_indexer(stores, collection_id)
            flush_log(stores, replica, collection_id, up_to=None if idle else 1, collects=False)
    if task == "compact" or not (environment.compaction_lock.locked() or environment.flush_lock.locked()):
        with environment.compaction_lock, environment.flush_lock:
            gc.collect_garbage(stores, collection_id)


def collect(cast: Cast, incarnation: Incarnation) -> None:
    """Collect the garbage of one collection."""
    try:
        if cast.environment.is_account:
            gc.collect_garbage(incarnation.stores, any_collection(cast).collection)
        else:
            with cast.environment.compaction_lock, cast.environment.flush_lock:
                gc.collect_garbage(incarnation.stores, any_collection(cast).collection)
    except ObjectNotFound:
        pass  # a newer checkpoint is current


def maintain(cast: Cast, incarnation: Incarnation) -> None:
    """Finish drops, and find what nobody was notified of."""
    purge.purge_dropped(incarnation.stores)
    maintenance.enqueue_stale(incarnation.stores, lambda: True)


def hold_writes(cast: Cast, incarnation: Incarnation) -> None:
    """Hold the writes of one collection for a moment, and perhaps release them."""
    scope = any_collection(cast)
    try:
        hold(incarnation.stores, scope, 5.0)
        if cast.environment.random.random() < 0.7:
            release(incarnation.stores, scope.collection)
    except NotFound:
        pass  # dropped


def _draw_message(cast: Cast) -> str:
    """A message, out of order and perhaps once more than sent, or that for an idle collection."""
    environment = cast.environment
    if not environment.messages or environment.random.random() < 0.3:
        group, body = str(any_collection(cast).collection), index_messages.IDLE
    else:
        number = environment.random.randrange(len(environment.messages))
        group, body = (
            environment.messages[number] if environment.random.random() < 0.2 else environment.messages.pop(number)
        )
    return orjson.dumps({"group": group, "body": body}).decode()
