"""Notes of what was dropped, or was begun and not finished: what is left to clean, and what can still be restored.

A note of a collection says when it was dropped, and how far its cleaning has come (`jobs.purge`).
"""

from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from afterglow.catalog import keys
from afterglow.storage.ports import ConditionFailed, Delete, Item, Put, Table


@dataclass(frozen=True, slots=True)
class DeletionRecord:
    """A dropped collection; `at` is when, in Unix seconds.

    `forget`: it is not to be restored. `taken`: its cleaning has begun, so whoever has not finished making it must not
    go on. `fenced`: its log is ended.
    """

    id: UUID
    deleted_at: float
    skip_retention: bool = False
    purge_started: bool = False
    log_sealed: bool = False
    version: int = 0


def put(note: DeletionRecord) -> Put:
    """What writes the note."""
    value = {
        "deleted_at": note.deleted_at,
        "skip_retention": note.skip_retention,
        "purge_started": note.purge_started,
        "log_sealed": note.log_sealed,
    }
    return Put(keys.DELETIONS, keys.collection(note.id), orjson.dumps(value), if_version=note.version or None)


def list_records(table: Table) -> list[DeletionRecord]:
    """The notes of all dropped collections."""
    return [
        _decoded(item) for item in table.query(keys.DELETIONS, after=keys.COLLECTION, before=keys.AFTER_COLLECTIONS)
    ]


def stage(table: Table, note: DeletionRecord) -> DeletionRecord:
    """Write a note before what it is about, so that what a crash leaves of that is cleaned."""
    item = put(note)
    return replace(note, version=table.put(item.pk, item.sk, item.value))


def commit_write(note: DeletionRecord) -> Delete:
    """What removes the note where the cleaning has not begun: to be written with what it is about."""
    return Delete(keys.DELETIONS, keys.collection(note.id), if_version=note.version)


def update(table: Table, note: DeletionRecord) -> DeletionRecord | None:
    """Write how far the cleaning has come; None where the note was changed or removed meanwhile."""
    item = put(note)
    try:
        return replace(note, version=table.put(item.pk, item.sk, item.value, if_version=item.if_version))
    except ConditionFailed:
        return None


def delete(table: Table, collection_id: UUID) -> None:
    """Everything is cleaned."""
    table.delete(keys.DELETIONS, keys.collection(collection_id))


def put_database(home: UUID, *, skip_retention: bool) -> Put:
    """What notes that the collections of a database are to be dropped."""
    return Put(keys.DELETIONS, keys.names_partition(home), orjson.dumps({"skip_retention": skip_retention}))


def databases(table: Table) -> list[tuple[UUID, bool]]:
    """The homes of databases whose collections are still to be dropped, and whether these are to be forgotten."""
    found = table.query(keys.DELETIONS, after=keys.DATABASE, before=keys.AFTER_DATABASES)
    return [(UUID(item.sk.removeprefix(keys.DATABASE)), orjson.loads(item.value)["skip_retention"]) for item in found]


def _decoded(item: Item) -> DeletionRecord:
    value = orjson.loads(item.value)
    return DeletionRecord(
        id=UUID(item.sk.removeprefix(keys.COLLECTION)),
        deleted_at=value["deleted_at"],
        skip_retention=value["skip_retention"],
        purge_started=value["purge_started"],
        log_sealed=value["log_sealed"],
        version=item.version,
    )
