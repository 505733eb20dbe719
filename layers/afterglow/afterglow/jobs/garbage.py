"""Garbage: objects that nothing names any more, and what dropped collections leave behind.

An object of a living collection is deleted when the manifest in force does not name it, no log entry does, and it is
older than the grace time. *Crash midway: the rest goes next time.*

The grace counts from when the object itself was written, so there is none for an object that was in force for long and
has just been replaced, and it says nothing of how long the job that wrote an object still takes. Nobody is robbed,
because:

* **Folds and compactions** do not run beside `collect`: on one directory all three hold the indexer lock
  (`jobs.directory`). *In an account, where there is no such lock, `garbage_grace_seconds` must be longer than the
  longest job may take from its first object to its manifest; a function has 15 minutes.*
* **Writers** hold no lock. A batch's object is as old as its write: one that took over half the grace puts its object
  again, before its entry names it and before it is acknowledged (`log.append.secured`).
* **Readers** keep files mapped that are deleted under them. One that opens a checkpoint, and finds a part of it gone,
  asks which is in force now and opens that (`collection.replica`, on `ObjectMissing`); a batch that is gone was folded.

A dropped collection's objects go after the same grace; its items, with the fence that keeps slow writers out, after
`fence_seconds`.
"""

from uuid import UUID

import orjson

from afterglow.catalog import collections, keys
from afterglow.catalog import state as states
from afterglow.collection.writing import fence
from afterglow.log import entry as entries
from afterglow.segment import manifest as manifests
from afterglow.storage.stores import Stores


def collect(stores: Stores, collection_id: UUID) -> int:
    """Delete the unnamed objects of a living collection; how many. To be called as its only indexer."""
    oldest = stores.ambient.now() - stores.settings.garbage_grace_seconds
    candidates = [info.key for info in stores.objects.list(f"{collection_id}/") if info.modified < oldest]
    if not candidates:
        return 0
    named = _named(stores, collection_id)
    unnamed = [key for key in candidates if key not in named]
    stores.objects.delete_many(unnamed)
    return len(unnamed)


def clear_dropped(stores: Stores) -> None:
    """Go on with everything that was dropped: databases' collections, fences, objects, and in the end the items."""
    now = stores.ambient.now()
    for note in stores.table.query(keys.DROPPED):
        dropped_at = float(orjson.loads(note.value)["at"])
        identifier = UUID(note.sk.partition("#")[2])
        if note.sk == keys.names_of(identifier):
            for collection_id in collections.ids(stores.table, identifier):
                collections.drop(stores.table, stores.ambient, collection_id)
            stores.table.delete(keys.DROPPED, note.sk)
        elif dropped_at < now - stores.settings.garbage_grace_seconds:
            is_past_fence = dropped_at < now - stores.settings.fence_seconds
            if not is_past_fence:
                fence(stores, identifier)
            stores.objects.delete_many([info.key for info in stores.objects.list(f"{identifier}/")])
            if is_past_fence:
                for item in stores.table.query(keys.collection(identifier)):
                    stores.table.delete(item.pk, item.sk)
                stores.table.delete(keys.DROPPED, note.sk)


def _named(stores: Stores, collection_id: UUID) -> set[str]:
    """Every object key that the collection's manifest in force and its log name."""
    item = stores.table.get(keys.collection(collection_id), keys.STATE)
    if item is None:
        return set()
    state = states.decode(item)
    named = set() if state.manifest is None else {state.manifest}
    if state.manifest is not None:
        for segment in manifests.load(stores.objects, state.manifest).segments:
            named.update(file.key for file in segment.objects)
    items = stores.table.query(keys.collection(collection_id), after=entries.BEFORE_ALL, before=entries.AFTER_ALL)
    named.update(key for key in (entries.decode(each).object for each in items) if key is not None)
    return named
