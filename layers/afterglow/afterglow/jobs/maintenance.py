"""Periodic maintenance of collections that nobody writes to.

* **Enqueue stale collections**: send a message for every collection that is not caught up, as an idle one: one with
  unflushed operations, too few for a writer to have notified the indexer, or whose notification was lost; one whose
  last flushed entry is no placeholder yet; one with segments to compact; one with expired records. It costs two reads,
  a query and a manifest per collection.
* **Clean up**: continue the purge of dropped collections; for collection_id collection collect garbage, and **scrub**:
  read what its manifest names, compare checksums, and log every mismatch. `scrub_max_bytes` limits the bytes read in
  one run.

Collections take turns in the order of their ids. A run that is out of time stops, and the next one continues after the
last collection of the previous run, which an item of the table stores. *Killed: the next run starts where this one
started.* Every task is safe with concurrent writers, readers and indexers.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import orjson

from afterglow.catalog import Catalog, Collection, collections, keys
from afterglow.collection.replica.indexing_progress import unflushed
from afterglow.deployment.base import Deployment
from afterglow.errors import Corrupt, StorageFull, Unavailable
from afterglow.jobs import checksums, erasure, gc, purge, ttl_sweep
from afterglow.jobs.compaction_policy import next_compaction
from afterglow.jobs.index_messages import IDLE
from afterglow.log import entry as entries
from afterglow.log.entry import EntryKind
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import ObjectNotFound, Stores

_log = logging.getLogger(__name__)

HasTime = Callable[[], bool]

ENQUEUE_STALE = "enqueue_stale"
CLEAN_UP = "clean_up"
_COLLECT = "collect"


@dataclass(slots=True)
class MaintenanceReport:
    """The result of one run: counts, the bytes read, and the operations and bytes of the largest unflushed log."""

    collections: int = 0
    enqueued: int = 0
    unflushed_ops: int = 0
    unflushed_bytes: int = 0
    collected: int = 0
    scrubbed_bytes: int = 0
    damaged: int = 0


def enqueue_stale(stores: Stores, has_time: HasTime) -> MaintenanceReport:
    """Enqueue every collection that is not caught up. Raises Unavailable."""
    report = MaintenanceReport()
    erasure.advance(stores)
    for collection_id in _round_robin(stores, ENQUEUE_STALE, has_time):
        report.collections += 1
        log_tail = unflushed(stores, collection_id)
        if log_tail is not None and (log_tail.ops or not _is_caught_up(stores, log_tail.collection)):
            stores.queue.send(str(collection_id), f"{IDLE} {log_tail.last_seq}")
            report.unflushed_ops = max(report.unflushed_ops, log_tail.ops)
            report.unflushed_bytes = max(report.unflushed_bytes, log_tail.byte_size)
            report.enqueued += 1
    return report


def _is_caught_up(stores: Stores, state: Collection) -> bool:
    """Whether a flushed collection has its entries replaced by placeholders, and nothing to compact or to expire."""
    if state.manifest_key is None:
        return True
    if state.is_erasing or ttl_sweep.is_due(state, stores.system.now()):
        return False
    last = stores.table.get(keys.collection(state.id), entries.key(state.flushed_seq))
    if last is not None and entries.decode(last).kind is EntryKind.BATCH:
        return False
    try:
        manifest = manifests.load(stores.objects, state.manifest_key)
    except ObjectNotFound:
        return False  # replaced meanwhile: an indexer is at work
    return next_compaction(manifest, stores.settings, idle=True) is None


def clean_up(stores: Stores, has_time: HasTime, scrub_bytes: int) -> MaintenanceReport:
    """Purge dropped collections, collect garbage, verify checksums of about `scrub_bytes` bytes. Raises Unavailable."""
    report = MaintenanceReport()
    erasure.advance(stores)
    purge.purge_dropped(stores)
    for collection_id in _round_robin(stores, CLEAN_UP, lambda: has_time() and report.scrubbed_bytes < scrub_bytes):
        report.collections += 1
        try:
            report.collected += gc.collect_garbage(stores, collection_id)
            _scrub(stores, collection_id, report)
        except (Unavailable, StorageFull):
            raise
        except Exception as error:  # noqa: BLE001  the others are worked on
            _log_damage(collection_id, error, report)
    return report


def collect(stores: Stores, has_time: HasTime) -> MaintenanceReport:
    """Collect the garbage of all collections, including idle ones. The caller must be the only indexer.

    Raises Unavailable.
    """
    report = MaintenanceReport()
    for collection_id in _round_robin(stores, _COLLECT, has_time):
        report.collections += 1
        try:
            report.collected += gc.collect_garbage(stores, collection_id)
        except (Unavailable, StorageFull):
            raise
        except Exception as error:  # noqa: BLE001  the others are worked on
            _log_damage(collection_id, error, report)
    return report


def _log_damage(collection_id: UUID, error: Exception, report: MaintenanceReport) -> None:
    """Count and log what is wrong with a collection; the others are still worked on."""
    report.damaged += 1
    is_expected = isinstance(error, Corrupt | ObjectNotFound)
    _log.error("collection %s is damaged: %s", collection_id, error, exc_info=not is_expected)


def _round_robin(stores: Stores, task: str, may_continue: Callable[[], bool]) -> Iterator[UUID]:
    """Yield every collection once, starting after the last one of the previous run, while `may_continue`."""
    collection_ids = sorted(Catalog(stores.table, stores.system).collections())
    item = stores.table.get(keys.MAINTENANCE, task)
    start = last = UUID(int=0) if item is None else UUID(orjson.loads(item.value)["last"])
    after = [collection_id for collection_id in collection_ids if collection_id > start]
    before = [collection_id for collection_id in collection_ids if collection_id <= start]
    for collection_id in after + before:
        if not may_continue():
            break
        yield collection_id
        last = collection_id
    if last != start:
        stores.table.put(keys.MAINTENANCE, task, orjson.dumps({"last": str(last)}))


def _scrub(stores: Stores, collection_id: UUID, report: MaintenanceReport) -> None:
    """Verify every object of the current checkpoint. Raises Corrupt or ObjectNotFound for a damaged manifest."""
    state = collections.by_id(stores.table, collection_id)
    if state is None or state.manifest_key is None:
        return
    manifest = manifests.load(stores.objects, state.manifest_key)
    for file in (file for segment in manifest.segments for file in segment.objects):
        problem = checksums.checksum_problem(stores.objects, file)
        report.scrubbed_bytes += file.size
        if problem is None:
            continue
        newer = collections.by_id(stores.table, collection_id)
        if newer is None or newer.manifest_key != state.manifest_key:
            return  # replaced while it was read, and perhaps collected
        report.damaged += 1
        _log.error(
            "object %s of collection %s (%s) %s: restore an older version of the object, or a backup",
            *(file.key, state.name, collection_id, problem),
        )


def maintain(deployment: Deployment, stores: Stores, *, thorough: bool = False) -> None:
    """Deployment-wide work: continue purges, remove leftovers of crashes, reclaim space; all of it with `thorough`."""
    purge.purge_dropped(stores)
    deployment.reclaim_space(stores.system, thorough=thorough)
