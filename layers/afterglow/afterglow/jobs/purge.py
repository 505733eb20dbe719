"""Purging: removes dropped collections, and forks that were never finished.

A dropped collection can be restored within the retention window. Each run reads its deletion record
(`catalog.deletions`) and continues where the last run ended:

1. The grace time after the drop has passed: mark the record as started, so that an unfinished fork can never be
   finished; seal the log; mark the record as sealed. *Crash between: the next run repeats the step.*
2. The retention window has passed: remove the collection from its lineage, as it uses nothing any more; delete its
   objects except those that its forks use.
3. No object is left, and slow writers no longer need the seal (`log_seal_ttl_seconds`): delete the items, the
   state last, and the deletion record.
"""

import logging
from dataclasses import replace
from uuid import UUID

from afterglow.catalog import collections, deletions, keys, lineage
from afterglow.catalog.deletions import DeletionRecord
from afterglow.catalog.model import Collection
from afterglow.collection.write.write_path import seal_log
from afterglow.errors import Corrupt
from afterglow.jobs.reachability import is_own_key, referenced_by_forks
from afterglow.storage.clock import earliest_now
from afterglow.storage.ports import ObjectNotFound, Stores

_log = logging.getLogger(__name__)


def purge_dropped(stores: Stores) -> None:
    """Continue the removal of everything that was dropped. Raises Unavailable, Corrupt.

    With `garbage_collection` disabled nothing is removed, because another table may reference the objects.
    """
    if not stores.settings.garbage_collection:
        return
    for namespace, skip_retention in deletions.databases(stores.table):
        for collection_id in collections.list_ids(stores.table, namespace):
            collections.drop(stores.table, stores.system, collection_id, skip_retention=skip_retention)
        stores.table.delete(keys.DELETIONS, keys.names_partition(namespace))
    for record in deletions.list_records(stores.table):
        try:
            _advance(stores, record)
        except (Corrupt, ObjectNotFound) as error:
            # Nothing of it is deleted, and the others are worked on.
            _log.error("dropped collection %s cannot be purged: %s", record.id, error)


def _advance(stores: Stores, record: DeletionRecord) -> None:
    now, settings = earliest_now(stores.table, stores.system), stores.settings
    if record.deleted_at >= now - settings.gc_grace_seconds:
        return
    if not record.log_sealed:
        started = deletions.update(stores.table, replace(record, purge_started=True))
        if started is None:
            return
        seal_log(stores, record.id)
        deletions.update(stores.table, replace(started, log_sealed=True))
    retention = 0.0 if record.skip_retention else settings.retention_seconds
    if record.deleted_at >= now - retention - settings.gc_grace_seconds:
        return
    state = collections.stored(stores.table, record.id)
    if state is not None and state.lineage_id is not None:
        lineage.remove(stores.table, state.lineage_id, record.id)
    if _delete_objects(stores, record.id, state) and record.deleted_at < now - settings.log_seal_ttl_seconds:
        for item in stores.table.query(keys.collection(record.id)):
            stores.table.delete(item.pk, item.sk)
        deletions.delete(stores.table, record.id)


def _delete_objects(stores: Stores, collection_id: UUID, state: Collection | None) -> bool:
    """Delete the objects that no fork uses; whether none is left."""
    keys_of_all = (info.key for info in stores.objects.list(f"{collection_id}/"))
    stored = [key for key in keys_of_all if is_own_key(key, collection_id)]
    referenced = set() if state is None else referenced_by_forks(stores, state, stored)
    stores.objects.delete_many([key for key in stored if key not in referenced])
    return not referenced
