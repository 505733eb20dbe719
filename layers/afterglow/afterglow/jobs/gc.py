"""Garbage collection, mark and sweep: deletes objects that neither current readers nor time travel can reach.

1. Read the state.
2. List the manifests, then mark what the collection uses (`jobs.reachability`); unmarked objects are candidates. A
   manifest that is written later is none. If the past is too large, shorten it (`jobs.past`) and mark anew.
3. Check which candidates its forks and its source use.
4. Delete the others, manifests first: so a stored manifest always has all that it names. *Crash midway: the next run
   deletes the rest.*
5. Where appends check the state, delete the placeholders whose batches are gone (`log.trim`). *Crash before: the next
   run does.*

A segment file that no manifest names is a candidate when it is older than the grace time, by the clock of the store. In
a directory one that only unmarked manifests name is a candidate at once, unless its segment has lists: a load leaves
almost as many bytes of flushed segments as the collection has, and a script that loads may end at once. A batch is
one when a flushed entry named it, or when no entry named it and the log's own time has passed that of its key by the
grace time: the writer of a batch in flight would put it again (`log.append.stamp`). Concurrent processes are safe,
because:

* **Flushes and compactions** do not run during a collection: in one directory a collection holds the locks of both
  (`deployment.file_lock`). *An account has no such lock: there `gc_grace_seconds` must exceed the longest time that a
  job may take from its first object to its manifest; a function has 15 minutes.*
* **Writers** hold no lock, and no clock of theirs or of a collector matters, as the log's time decides.
* **Readers** keep files mapped that are deleted, and map all files of a segment without lists when they open it. A
  reader that opens a checkpoint and misses an object reads the state again and opens the current checkpoint
  (`collection.replica.replica`, on `ObjectNotFound`); a missing batch has been flushed.
* **Objects with other names**, such as files that a program left in the folder, are never candidates (`is_own_key`).
* **Forks** name what their source named when they were published (`collection.time_travel.fork`).
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import takewhile
from uuid import UUID

from afterglow.catalog import collections
from afterglow.catalog.model import Collection
from afterglow.errors import NotFound
from afterglow.jobs import past
from afterglow.jobs.reachability import LiveObjects, is_own_key, live_objects, referenced_by_forks
from afterglow.log import archive, trim
from afterglow.log import entry as entries
from afterglow.segment import manifest as manifests
from afterglow.storage.ports import ObjectNotFound, Stores


def collect_garbage(stores: Stores, collection_id: UUID) -> int:
    """Delete the unreachable objects of a collection; how many. The caller must be its only indexer.

    With `garbage_collection` disabled none: another table may reference what this one does not.

    Raises Corrupt, ObjectNotFound, Unavailable.
    """
    state = collections.by_id(stores.table, collection_id) if stores.settings.garbage_collection else None
    if state is None:
        return 0
    live = live_objects(stores, state)
    listed = list(stores.objects.list(entries.payload_prefix(state.id)))
    start = past.measure(stores, state, live, listed).start if stores.settings.retention_seconds else 0
    if start > state.past_start:
        try:
            state = past.shorten(stores, state, start)
        except NotFound:
            return 0
        live = live_objects(stores, state)
    batches = [info.key for info in listed]
    candidates = _candidates(stores, state, live, batches, stores.settings.gc_grace_seconds)
    garbage = _unreferenced(stores, state, candidates)
    prefix = manifests.prefix(collection_id)
    stores.objects.delete_many([key for key in garbage if key.startswith(prefix)])
    stores.objects.delete_many([key for key in garbage if not key.startswith(prefix)])
    trim.delete_placeholders(stores, collection_id, state.flushed_seq, set(batches).difference(garbage))
    return len(garbage)


def unreachable(stores: Stores, state: Collection) -> list[str]:
    """The objects that neither the collection nor its lineage needs, also those that are not old enough to be deleted.

    Raises Corrupt, ObjectNotFound, Unavailable.
    """
    batches = [info.key for info in stores.objects.list(entries.payload_prefix(state.id))]
    if state.is_dropped:
        candidates = [info.key for info in stores.objects.list(f"{state.id}/") if is_own_key(info.key, state.id)]
    else:
        candidates = _candidates(stores, state, live_objects(stores, state), batches, -1.0)
    return _unreferenced(stores, state, candidates)


def _unreferenced(stores: Stores, state: Collection, candidates: Sequence[str]) -> list[str]:
    referenced = referenced_by_forks(stores, state, candidates) if candidates else set()
    return [key for key in candidates if key not in referenced]


def _candidates(
    stores: Stores, state: Collection, live: LiveObjects, batches: Sequence[str], min_age: float
) -> list[str]:
    return [*_manifests(live), *_files(stores, state, live, min_age), *_log(stores, state, live, batches)]


def _manifests(live: LiveObjects) -> Iterator[str]:
    return (key for key in live.manifest_keys if key not in live.keys)


def _files(stores: Stores, state: Collection, live: LiveObjects, min_age: float) -> Iterator[str]:
    superseded = _superseded(stores, live) if stores.table.has_cheap_transactions else set()
    for info in manifests.list_segment_files(stores.objects, state.id):
        if info.key not in live.keys and (info.age > min_age or info.key in superseded):
            yield info.key


def _superseded(stores: Stores, live: LiveObjects) -> set[str]:
    """What unmarked manifests name, except segments with lists, whose files a reader opens when it needs them."""
    found: set[str] = set()
    for key in _manifests(live):
        with suppress(ObjectNotFound):
            segments = manifests.load(stores.objects, key).segments
            found.update(file.key for segment in segments if not segment.has_lists for file in segment.objects)
    return found


def _log(stores: Stores, state: Collection, live: LiveObjects, batches: Sequence[str]) -> Iterator[str]:
    """Archives and batches of the log; both are listed from the oldest on."""
    if live.oldest_payload_time is None:
        return
    old = takewhile(lambda stored: stored.last <= live.oldest_seq, archive.list_archives(stores.objects, state.id))
    yield from (stored.key for stored in old)
    unnamed: dict[str, int] = {}
    # The keys of batches show only roughly which of them are older than the past: what is erased must not stay.
    is_exact = 0 < state.erased_seq <= live.oldest_seq
    for key in batches:
        if entries.is_payload_key(key, state.id) and key not in live.payload_keys:
            time = entries.payload_time(key)
            if time < min(live.in_flight_since, live.oldest_payload_time):
                yield key
            elif is_exact or time < live.oldest_payload_time:
                unnamed[key] = time
    if unnamed:
        oldest = min(unnamed.values())
        last = live.oldest_seq if is_exact else state.flushed_seq
        for entry in trim.placeholders_back_to(stores.table, state.id, last, oldest):
            if entry.payload_key in unnamed:
                yield entry.payload_key
