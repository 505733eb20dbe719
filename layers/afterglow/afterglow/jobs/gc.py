"""Garbage collection, mark and sweep: deletes objects that neither current readers nor time travel can reach.

1. Read the state.
2. Mark what the collection uses (`jobs.reachability`), and list what is stored; unmarked objects are candidates.
3. Check which candidates its forks and its source use.
4. Delete the others, manifests first: so a stored manifest always has all that it names. *Crash midway: the next run
   deletes the rest.*

A segment file that no manifest names is a candidate when it is older than the grace time; a batch is one when it is
older than that and no log entry names it. The grace time counts from when the object was written, and does not depend
on how much longer its job runs. Concurrent processes are safe, because:

* **Flushes and compactions** do not run during a collection: in one directory all three hold the indexer lock
  (`deployment.local`). *An account has no such lock: there `gc_grace_seconds` must exceed the longest time that a job
  may take from its first object to its manifest; a function has 15 minutes.*
* **Writers** hold no lock. The object of a batch is as old as its write: a write that took more than half the grace
  time puts its object again, before an entry names it and before the write is acknowledged (`log.append`).
* **Readers** keep files mapped that are deleted. A reader that opens a checkpoint and misses an object reads the state
  again and opens the current checkpoint (`collection.replica.replica`, on `ObjectNotFound`); a missing batch has been
  flushed.
* **Objects with other names**, such as files that a program left in the folder, are never candidates (`is_own_key`).
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
    """Delete the unreachable objects of a collection; how many. The caller must be its only indexer.

    Raises Corrupt, ObjectNotFound, Unavailable.
    """
    state = collections.by_id(stores.table, collection_id)
    if state is None:
        return 0
    live = live_objects(stores, state)
    candidates = [*_manifests(stores, state, live), *_files(stores, state, live), *_log(stores, state, live)]
    referenced = referenced_by_forks(stores, state, candidates) if candidates else set()
    garbage = [key for key in candidates if key not in referenced]
    prefix = manifests.prefix(collection_id)
    stores.objects.delete_many([key for key in garbage if key.startswith(prefix)])
    stores.objects.delete_many([key for key in garbage if not key.startswith(prefix)])
    return len(garbage)


def _manifests(stores: Stores, state: Collection, live: LiveObjects) -> Iterator[str]:
    return (key for key in manifests.list_keys(stores.objects, state.id) if key not in live.keys)


def _files(stores: Stores, state: Collection, live: LiveObjects) -> Iterator[str]:
    oldest = stores.system.now() - stores.settings.gc_grace_seconds
    for info in manifests.list_segment_files(stores.objects, state.id):
        if info.modified < oldest and info.key not in live.keys:
            yield info.key


def _log(stores: Stores, state: Collection, live: LiveObjects) -> Iterator[str]:
    """Archives and batches of the log; both are listed from the oldest on."""
    if live.oldest_payload_time is None:
        return
    old = takewhile(lambda stored: stored.last <= live.oldest_seq, archive.list_archives(stores.objects, state.id))
    yield from (stored.key for stored in old)
    for info in stores.objects.list(entries.payload_prefix(state.id)):
        if not entries.is_payload_key(info.key, state.id):
            continue
        if entries.payload_time(info.key) >= live.oldest_payload_time:
            return
        if info.key not in live.payload_keys:
            yield info.key
