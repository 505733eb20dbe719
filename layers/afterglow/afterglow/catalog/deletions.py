"""Notes of what was dropped, or was begun and not finished: what is left to clean, and what can still be restored.

A note of a collection says when it was dropped, and how far its cleaning has come (`jobs.purge`).
"""

from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from afterglow.catalog import keys
from afterglow.storage.ports import ConditionFailed, Delete, Item, Put, Table


@dataclass(frozen=True, slots=True)
class Dropped:
    """A dropped collection; `at` is when, in Unix seconds.

    `forget`: it is not to be restored. `taken`: its cleaning has begun, so whoever has not finished making it must not
    go on. `fenced`: its log is ended.
    """

    id: UUID
    at: float
    forget: bool = False
    taken: bool = False
    fenced: bool = False
    version: int = 0


def put(note: Dropped) -> Put:
    """What writes the note."""
    value = {
        "at": note.at,
        "forget": note.forget,
        "taken": note.taken,
        "fenced": note.fenced,
    }
    return Put(keys.DROPPED, keys.collection(note.id), orjson.dumps(value), if_version=note.version or None)


def notes(table: Table) -> list[Dropped]:
    """The notes of all dropped collections."""
    return [_decoded(item) for item in table.query(keys.DROPPED, after=keys.COLLECTION, before=keys.AFTER_COLLECTIONS)]


def begin(table: Table, note: Dropped) -> Dropped:
    """Write a note before what it is about, so that what a crash leaves of that is cleaned."""
    item = put(note)
    return replace(note, version=table.put(item.pk, item.sk, item.value))


def finish(note: Dropped) -> Delete:
    """What removes the note where the cleaning has not begun: to be written with what it is about."""
    return Delete(keys.DROPPED, keys.collection(note.id), if_version=note.version)


def advance(table: Table, note: Dropped) -> Dropped | None:
    """Write how far the cleaning has come; None where the note was changed or removed meanwhile."""
    item = put(note)
    try:
        return replace(note, version=table.put(item.pk, item.sk, item.value, if_version=item.if_version))
    except ConditionFailed:
        return None


def remove(table: Table, collection_id: UUID) -> None:
    """Everything is cleaned."""
    table.delete(keys.DROPPED, keys.collection(collection_id))


def put_database(home: UUID, *, forget: bool) -> Put:
    """What notes that the collections of a database are to be dropped."""
    return Put(keys.DROPPED, keys.names_of(home), orjson.dumps({"forget": forget}))


def databases(table: Table) -> list[tuple[UUID, bool]]:
    """The homes of databases whose collections are still to be dropped, and whether these are to be forgotten."""
    found = table.query(keys.DROPPED, after=keys.DATABASE, before=keys.AFTER_DATABASES)
    return [(UUID(item.sk.removeprefix(keys.DATABASE)), orjson.loads(item.value)["forget"]) for item in found]


def _decoded(item: Item) -> Dropped:
    value = orjson.loads(item.value)
    return Dropped(
        id=UUID(item.sk.removeprefix(keys.COLLECTION)),
        at=value["at"],
        forget=value["forget"],
        taken=value["taken"],
        fenced=value["fenced"],
        version=item.version,
    )
