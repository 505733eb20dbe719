"""Cleaning up what was dropped, and what was begun and not finished.

A dropped collection can be restored for as long as the past is kept. Its note (`catalog.deletions`) is taken up again
and again, each time going on where it ended:

1. The grace time after the drop is over: mark the note as taken, so that an unfinished fork is never finished; put a
   fence at the end of the log; mark that. *Crash between: the same again.*
2. The time is over in which it can be restored: end its membership of a family, as it needs nothing any more; delete
   its objects, but for those that its forks need.
3. None of them is left, and slow writers are kept out no more (`log_placeholder_ttl_seconds`): delete its items, the state as the
   last of them, and the note.
"""

from dataclasses import replace
from uuid import UUID

from afterglow.catalog import collections, deletions, keys, lineage
from afterglow.catalog import state as states
from afterglow.catalog.deletions import DeletionRecord
from afterglow.catalog.model import Collection
from afterglow.collection.write.write_path import seal_log
from afterglow.jobs.reachability import referenced_by_forks
from afterglow.storage.ports import Stores


def purge_dropped(stores: Stores) -> None:
    """Go on with everything that was dropped. Raises Unavailable, Corrupt."""
    for home, forget in deletions.databases(stores.table):
        for collection_id in collections.list_ids(stores.table, home):
            collections.drop(stores.table, stores.system, collection_id, skip_retention=forget)
        stores.table.delete(keys.DELETIONS, keys.names_partition(home))
    for note in deletions.list_records(stores.table):
        _advance(stores, note)


def _advance(stores: Stores, note: DeletionRecord) -> None:
    now, settings = stores.system.now(), stores.settings
    if note.deleted_at >= now - settings.gc_grace_seconds:
        return
    if not note.log_sealed:
        taken = deletions.update(stores.table, replace(note, purge_started=True))
        if taken is None:
            return
        seal_log(stores, note.id)
        deletions.update(stores.table, replace(taken, log_sealed=True))
    retention = 0.0 if note.skip_retention else settings.retention_seconds
    if note.deleted_at >= now - retention - settings.gc_grace_seconds:
        return
    item = stores.table.get(keys.collection(note.id), keys.STATE)
    state = None if item is None else states.decode(item)
    if state is not None and state.lineage_id is not None:
        lineage.remove(stores.table, state.lineage_id, note.id)
    if _delete_objects(stores, note.id, state) and note.deleted_at < now - settings.log_placeholder_ttl_seconds:
        for item in stores.table.query(keys.collection(note.id)):
            stores.table.delete(item.pk, item.sk)
        deletions.delete(stores.table, note.id)


def _delete_objects(stores: Stores, collection_id: UUID, state: Collection | None) -> bool:
    """Delete the objects that are of no use; whether none is left."""
    found = [info.key for info in stores.objects.list(f"{collection_id}/")]
    claimed = set() if state is None else referenced_by_forks(stores, state, found)
    stores.objects.delete_many([key for key in found if key not in claimed])
    return not claimed
