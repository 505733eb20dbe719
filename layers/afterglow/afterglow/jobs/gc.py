"""Garbage: objects that nothing needs any more (`jobs.reachability`), neither a reader of now nor one of the past.

1. Read the state. 2. List what is stored; what the collection does not need is a candidate. 3. Ask its relatives, where
it has any, which of that they need. 4. Delete the rest, manifests first: one that is there has all that it names.
*Crash midway: the rest goes next time.*

A segment's file that no manifest names is a candidate when it is older than the grace time, a batch when it is older
than that and no log entry names it. The grace counts from when the object was written, and says nothing of how long the
job that wrote it still takes. Nobody is robbed, because:

* **Folds and compactions** do not run beside `collect`: on one directory all three hold the indexer lock
  (`deployment.local`). *In an account, where there is no such lock, `gc_grace_seconds` must be longer than the
  longest job may take from its first object to its manifest; a function has 15 minutes.*
* **Writers** hold no lock. A batch's object is as old as its write: one that took over half the grace puts its object
  again, before its entry names it and before it is acknowledged (`log.append`).
* **Readers** keep files mapped that are deleted under them. One that opens a checkpoint, and finds a part of it gone,
  asks which is in force now and opens that (`collection.replica.replica`, on `ObjectMissing`); a batch that is gone was folded.
* **Forks** name what their source named when they were published (`collection.time_travel.fork`).
"""

from collections.abc import Iterator
from itertools import takewhile
from uuid import UUID

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.jobs.reachability import LiveObjects, live_objects, referenced_by_forks
from afterglow.log import archive
from afterglow.log import entry as entries
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import Stores


def collect_garbage(stores: Stores, collection_id: UUID) -> int:
    """Delete what a living collection stores and nobody needs; how many objects. To be called as its only indexer."""
    state = collections.by_id(stores.table, collection_id)
    if state is None:
        return 0
    needs = live_objects(stores, state)
    candidates = [*_manifests(stores, state, needs), *_files(stores, state, needs), *_log(stores, state, needs)]
    claimed = referenced_by_forks(stores, state, candidates) if candidates else set()
    garbage = [key for key in candidates if key not in claimed]
    is_manifest = [key.startswith(manifests.prefix(collection_id)) for key in garbage]
    for kind in (True, False):
        stores.objects.delete_many([key for key, one in zip(garbage, is_manifest, strict=True) if one is kind])
    return len(garbage)


def _manifests(stores: Stores, state: Collection, needs: LiveObjects) -> Iterator[str]:
    return (info.key for info in stores.objects.list(manifests.prefix(state.id)) if info.key not in needs.keys)


def _files(stores: Stores, state: Collection, needs: LiveObjects) -> Iterator[str]:
    oldest = stores.system.now() - stores.settings.gc_grace_seconds
    for info in stores.objects.list(manifests.segments_prefix(state.id)):
        if info.modified < oldest and info.key not in needs.keys:
            yield info.key


def _log(stores: Stores, state: Collection, needs: LiveObjects) -> Iterator[str]:
    """Archives and batches; both are listed the oldest first."""
    if needs.oldest_payload_time is None:
        return
    old = takewhile(lambda each: each.last <= needs.oldest_seq, archive.list_archives(stores.objects, state.id))
    yield from (each.key for each in old)
    for info in stores.objects.list(entries.payload_prefix(state.id)):
        if entries.payload_time(info.key) >= needs.oldest_payload_time:
            return
        if info.key not in needs.payload_keys:
            yield info.key
