"""Cleaning up what was dropped, and what was begun and not finished.

A dropped collection can be restored for as long as the past is kept. Its note (`catalog.deletions`) is taken up again
and again, each time going on where it ended:

1. The grace time after the drop is over: mark the note as taken, so that an unfinished fork is never finished; put a
   fence at the end of the log; mark that. *Crash between: the same again.*
2. The time is over in which it can be restored: end its membership of a family, as it needs nothing any more; delete
   its objects, but for those that its forks need.
3. None of them is left, and slow writers are kept out no more (`fence_seconds`): delete its items, the state as the
   last of them, and the note.
"""

from dataclasses import replace
from uuid import UUID

from afterglow.catalog import collections, deletions, keys, lineage
from afterglow.catalog import state as states
from afterglow.catalog.deletions import Dropped
from afterglow.catalog.model import Collection
from afterglow.collection.write.write_path import fence
from afterglow.jobs.reachability import claimed_by_relatives
from afterglow.storage.ports import Stores


def clear(stores: Stores) -> None:
    """Go on with everything that was dropped. Raises Unavailable, Corrupt."""
    for home, forget in deletions.databases(stores.table):
        for collection_id in collections.ids(stores.table, home):
            collections.drop(stores.table, stores.ambient, collection_id, forget=forget)
        stores.table.delete(keys.DROPPED, keys.names_of(home))
    for note in deletions.notes(stores.table):
        _go_on(stores, note)


def _go_on(stores: Stores, note: Dropped) -> None:
    now, settings = stores.ambient.now(), stores.settings
    if note.at >= now - settings.garbage_grace_seconds:
        return
    if not note.fenced:
        taken = deletions.advance(stores.table, replace(note, taken=True))
        if taken is None:
            return
        fence(stores, note.id)
        deletions.advance(stores.table, replace(taken, fenced=True))
    retention = 0.0 if note.forget else settings.retention_seconds
    if note.at >= now - retention - settings.garbage_grace_seconds:
        return
    item = stores.table.get(keys.collection(note.id), keys.STATE)
    state = None if item is None else states.decode(item)
    if state is not None and state.family is not None:
        lineage.forget(stores.table, state.family, note.id)
    if _cleared(stores, note.id, state) and note.at < now - settings.fence_seconds:
        for item in stores.table.query(keys.collection(note.id)):
            stores.table.delete(item.pk, item.sk)
        deletions.remove(stores.table, note.id)


def _cleared(stores: Stores, collection_id: UUID, state: Collection | None) -> bool:
    """Delete the objects that are of no use; whether none is left."""
    found = [info.key for info in stores.objects.list(f"{collection_id}/")]
    claimed = set() if state is None else claimed_by_relatives(stores, state, found)
    stores.objects.delete_many([key for key in found if key not in claimed])
    return not claimed
