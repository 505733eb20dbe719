"""Deletion records: collections that are dropped, or whose creation is unfinished, until they are restored or purged.

A record has the time of the drop and the progress of the purge (`jobs.purge`).
"""

from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from afterglow.catalog import keys
from afterglow.storage.ports import ConditionFailed, Delete, Item, Put, Table


@dataclass(frozen=True, slots=True)
class DeletionRecord:
    """A dropped collection; `deleted_at` in Unix seconds.

    `skip_retention`: it cannot be restored. `purge_started`: its objects are being deleted, so an unfinished creation
    of it must be aborted. `log_sealed`: the seal is appended to its log.
    """

    id: UUID
    deleted_at: float
    skip_retention: bool = False
    purge_started: bool = False
    log_sealed: bool = False
    version: int = 0


def put(record: DeletionRecord) -> Put:
    """Return the write of the record."""
    value = {
        "deleted_at": record.deleted_at,
        "skip_retention": record.skip_retention,
        "purge_started": record.purge_started,
        "log_sealed": record.log_sealed,
    }
    return Put(keys.DELETIONS, keys.collection(record.id), orjson.dumps(value), if_version=record.version or None)


def list_records(table: Table) -> list[DeletionRecord]:
    """Return the records of all dropped collections."""
    return [_decode(item) for item in table.query(keys.DELETIONS, after=keys.COLLECTION, before=keys.AFTER_COLLECTIONS)]


def stage(table: Table, record: DeletionRecord) -> DeletionRecord:
    """Write a record before the collection is created, so that the remains of a crash are purged."""
    item = put(record)
    return replace(record, version=table.put(item.pk, item.sk, item.value))


def commit_write(record: DeletionRecord) -> Delete:
    """Return the delete of the record for the creating transaction; it fails if the purge has started."""
    return Delete(keys.DELETIONS, keys.collection(record.id), if_version=record.version)


def update(table: Table, record: DeletionRecord) -> DeletionRecord | None:
    """Write the progress of the purge; None when another process has changed or removed the record."""
    item = put(record)
    try:
        return replace(record, version=table.put(item.pk, item.sk, item.value, if_version=item.if_version))
    except ConditionFailed:
        return None


def delete(table: Table, collection_id: UUID) -> None:
    """Remove the record after the purge."""
    table.delete(keys.DELETIONS, keys.collection(collection_id))


def put_database(namespace_id: UUID, *, skip_retention: bool) -> Put:
    """Return the write that records a deleted database, whose collections are to be dropped."""
    return Put(keys.DELETIONS, keys.names_partition(namespace_id), orjson.dumps({"skip_retention": skip_retention}))


def databases(table: Table) -> list[tuple[UUID, bool]]:
    """Return the namespace ids of deleted databases with undropped collections, and their `skip_retention`."""
    items = table.query(keys.DELETIONS, after=keys.DATABASE, before=keys.AFTER_DATABASES)
    return [(UUID(item.sk.removeprefix(keys.DATABASE)), orjson.loads(item.value)["skip_retention"]) for item in items]


def _decode(item: Item) -> DeletionRecord:
    value = orjson.loads(item.value)
    return DeletionRecord(
        id=UUID(item.sk.removeprefix(keys.COLLECTION)),
        deleted_at=value["deleted_at"],
        skip_retention=value["skip_retention"],
        purge_started=value["purge_started"],
        log_sealed=value["log_sealed"],
        version=item.version,
    )
