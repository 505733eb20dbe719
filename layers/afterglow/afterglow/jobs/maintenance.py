"""What is done from time to time for collections that nobody asks for.

* **Nudge**: every collection that is not settled is put on the queue, as one that is quiet: one with an unindexed tail,
  too short to have been nudged by a writer, or whose nudge was lost; one whose last folded entry is no stub yet; one
  with segments to merge; one with records that have expired. It costs two reads, a query and the manifest for each.
* **Tidy**: go on with what was dropped; for each collection remove unnamed objects, and **scrub**: read what its
  manifest names, compare checksums, and say what does not match. `scrub_max_bytes` bounds the bytes read in one run.

Collections have their turn in the order of their ids. Where the time of a run is over, the next one goes on after the
collection where it ended, which an item of the table remembers. *Killed: the next run begins where this one did.* Each
is safe beside writers, readers and indexers.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import orjson

from afterglow.catalog import Catalog, Collection, collections, keys
from afterglow.collection.replica.indexing_progress import unflushed
from afterglow.deployment.base import Deployment
from afterglow.errors import Corrupt
from afterglow.jobs import checksums, gc, purge, ttl_sweep
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
    """What one run found and did."""

    collections: int = 0
    enqueued: int = 0
    unflushed_ops: int = 0
    collected: int = 0
    scrubbed_bytes: int = 0
    damaged: int = 0


def enqueue_stale(stores: Stores, has_time: HasTime) -> MaintenanceReport:
    """Put every collection with an unindexed tail on the queue. Raises Unavailable."""
    swept = MaintenanceReport()
    for each in _round_robin(stores, ENQUEUE_STALE, has_time):
        swept.collections += 1
        tail = unflushed(stores, each)
        if tail is not None and (tail.ops or not _is_caught_up(stores, tail.collection)):
            stores.queue.send(str(each), f"{IDLE} {tail.last_seq}")
            swept.unflushed_ops += tail.ops
            swept.enqueued += 1
    return swept


def _is_caught_up(stores: Stores, state: Collection) -> bool:
    """Whether a collection without a tail has its folded entries replaced by stubs, nothing to merge or to delete."""
    if state.manifest_key is None:
        return True
    if ttl_sweep.is_due(state, stores.system.now()):
        return False
    last = stores.table.get(keys.collection(state.id), entries.key(state.flushed_seq))
    if last is not None and entries.decode(last).kind is EntryKind.BATCH:
        return False
    try:
        manifest = manifests.load(stores.objects, state.manifest_key)
    except ObjectNotFound:
        return False  # replaced meanwhile: somebody is at work
    return next_compaction(manifest, stores.settings, quiet=True) is None


def clean_up(stores: Stores, has_time: HasTime, scrub_bytes: int) -> MaintenanceReport:
    """Finish drops, remove unnamed objects, compare the checksums of about `scrub_max_bytes` bytes. Raises Unavailable."""
    swept = MaintenanceReport()
    purge.purge_dropped(stores)
    for each in _round_robin(stores, CLEAN_UP, lambda: has_time() and swept.scrubbed_bytes < scrub_bytes):
        swept.collections += 1
        try:
            swept.collected += gc.collect_garbage(stores, each)
            _scrub(stores, each, swept)
        except (Corrupt, ObjectNotFound) as error:
            swept.damaged += 1
            _log.error("collection %s is damaged: %s", each, error)
    return swept


def collect(stores: Stores, has_time: HasTime) -> MaintenanceReport:
    """Remove what nobody needs any more, also of collections that nobody writes to: what is past its time.

    To be called as the only indexer. Raises Unavailable.
    """
    swept = MaintenanceReport()
    for each in _round_robin(stores, _COLLECT, has_time):
        swept.collections += 1
        try:
            swept.collected += gc.collect_garbage(stores, each)
        except (Corrupt, ObjectNotFound) as error:
            swept.damaged += 1
            _log.error("collection %s is damaged: %s", each, error)
    return swept


def _round_robin(stores: Stores, task: str, goes_on: Callable[[], bool]) -> Iterator[UUID]:
    """Every collection once, beginning after the one where the last run ended, as long as it `goes_on`."""
    everyone = sorted(Catalog(stores.table, stores.system).collections())
    item = stores.table.get(keys.MAINTENANCE, task)
    begin = last = UUID(int=0) if item is None else UUID(orjson.loads(item.value)["last"])
    for each in [each for each in everyone if each > begin] + [each for each in everyone if each <= begin]:
        if not goes_on():
            break
        yield each
        last = each
    if last != begin:
        stores.table.put(keys.MAINTENANCE, task, orjson.dumps({"last": str(last)}))


def _scrub(stores: Stores, collection_id: UUID, swept: MaintenanceReport) -> None:
    """Read every object of the checkpoint in force. Raises Corrupt, ObjectMissing for a manifest that is damaged."""
    present = collections.by_id(stores.table, collection_id)
    if present is None or present.manifest_key is None:
        return
    manifest = manifests.load(stores.objects, present.manifest_key)
    for file in (file for segment in manifest.segments for file in segment.objects):
        problem = checksums.checksum_problem(stores.objects, file)
        swept.scrubbed_bytes += file.size
        if problem is None:
            continue
        newer = collections.by_id(stores.table, collection_id)
        if newer is None or newer.manifest_key != present.manifest_key:
            return  # replaced, and perhaps collected, while it was read
        swept.damaged += 1
        _log.error(
            "object %s of collection %s (%s) %s: restore an older version of it, or a backup",
            *(file.key, present.name, collection_id, problem),
        )


def maintain(place: Deployment, stores: Stores, *, thorough: bool = False) -> None:
    """What no single collection asks for: go on with drops, remove leftovers of crashes, give space back."""
    purge.purge_dropped(stores)
    place.reclaim_space(stores.system, thorough=thorough)
