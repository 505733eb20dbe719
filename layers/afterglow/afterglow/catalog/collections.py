"""Collections by name and by id: create, find, list, change, drop.

Create writes the name and the state in one transaction that also checks that the database is there. A drop takes the
name and marks the state in one transaction, which makes the collection invisible at once; the caller then appends a
fence to its log, so that no writer that has not heard of it can append. *Crash between the two: the janitor finds the
collection among the dropped and appends the fence.*
"""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import orjson

from afterglow.catalog import deletions, keys, lineage, state
from afterglow.catalog.deletions import DeletionRecord
from afterglow.catalog.model import Collection, Database
from afterglow.errors import AlreadyExists, NotFound, Unavailable
from afterglow.settings import System
from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put, Table, Write

_ATTEMPTS = 20


def create(table: Table, collection: Collection) -> None:
    """Write the name and the state. Raises AlreadyExists; NotFound when the database went away."""
    try:
        table.transact(creation_writes(collection))
    except ConditionFailed:
        if not resolve_create_conflict(table, collection):
            raise AlreadyExists(f"Collection [{collection.name}] already exists") from None


def creation_writes(collection: Collection) -> list[Write]:
    """What a transaction must write to make the collection, and check."""
    return [
        Check(keys.databases_partition(collection.tenant), keys.DATABASE + collection.database),
        Put(
            keys.names_partition(collection.namespace_id),
            keys.NAME + collection.name,
            _encode_pointer(collection.id),
            if_absent=True,
        ),
        Put(keys.collection(collection.id), keys.STATE, state.encode(collection), if_absent=True),
    ]


def resolve_create_conflict(table: Table, collection: Collection) -> bool:
    """After a creation was refused: whether it had been carried out, as an adapter repeats it after a lost answer.

    Raises NotFound when the database went away, AlreadyExists where another has the name.
    """
    if table.get(keys.databases_partition(collection.tenant), keys.DATABASE + collection.database) is None:
        raise NotFound(f"Database [{collection.database}] does not exist")
    holder = _owner_of_name(table, collection.namespace_id, collection.name)
    if holder not in (None, collection.id):
        raise AlreadyExists(f"Collection [{collection.name}] already exists")
    return holder is not None


def by_name(table: Table, database: Database, name: str) -> Collection | None:
    """The collection of this name, or None."""
    holder = _owner_of_name(table, database.namespace_id, name)
    return None if holder is None else by_id(table, holder)


def by_id(table: Table, collection_id: UUID) -> Collection | None:
    """The collection of this id, or None where there is none or it is dropped."""
    item = table.get(keys.collection(collection_id), keys.STATE)
    found = None if item is None else state.decode(item)
    return None if found is None or found.is_dropped else found


def list_ids(table: Table, home: UUID) -> list[UUID]:
    """The ids of a database's collections, ascending."""
    return sorted(_decode_pointer(item.value) for item in table.query(keys.names_partition(home), after=keys.NAME))


def list_names(table: Table, home: UUID) -> list[tuple[str, UUID]]:
    """The names in a database, ascending, and the id that each points to."""
    items = table.query(keys.names_partition(home), after=keys.NAME)
    return [(item.sk.removeprefix(keys.NAME), _decode_pointer(item.value)) for item in items]


def by_ids(table: Table, collection_ids: list[UUID]) -> list[Collection]:
    """The collections of these ids that exist, in this order."""
    items = table.get_many([(keys.collection(each), keys.STATE) for each in collection_ids])
    found = [state.decode(item) for item in items if item is not None]
    return [each for each in found if not each.is_dropped]


def update(table: Table, collection_id: UUID, edit: Callable[[Collection], Collection | None]) -> Collection:
    """Apply `edit` to the state by a conditional put, again on a newer state where another writer was first.

    `edit` returns None when there is nothing to change. Raises NotFound for a missing or dropped collection.
    """
    for _ in range(_ATTEMPTS):
        present = require(table, collection_id)
        wanted = edit(present)
        if wanted is None:
            return present
        try:
            version = table.put(
                keys.collection(collection_id), keys.STATE, state.encode(wanted), if_version=present.version
            )
        except ConditionFailed:
            continue
        return replace(wanted, version=version)
    raise Unavailable(f"collection {collection_id} is being changed by too many at once")


def rename(table: Table, collection_id: UUID, name: str, edit: Callable[[Collection], Collection]) -> Collection:
    """Like `change`, and move the name in the same transaction. Raises AlreadyExists when the name is taken."""
    for _ in range(_ATTEMPTS):
        present = require(table, collection_id)
        if present.name == name:
            return update(table, collection_id, edit)
        wanted = replace(edit(present), name=name)
        names = keys.names_partition(present.namespace_id)
        try:
            table.transact(
                [
                    Put(names, keys.NAME + name, _encode_pointer(collection_id), if_absent=True),
                    Delete(names, keys.NAME + present.name),
                    Put(keys.collection(collection_id), keys.STATE, state.encode(wanted), if_version=present.version),
                ]
            )
        except ConditionFailed:
            if _owner_of_name(table, present.namespace_id, name) not in (None, collection_id):
                raise AlreadyExists(f"Collection [{name}] already exists") from None
            continue
        return replace(wanted, version=present.version + 1)
    raise Unavailable(f"collection {collection_id} is being changed by too many at once")


def drop(table: Table, system: System, collection_id: UUID, *, skip_retention: bool = False) -> None:
    """Take the name, mark the state dropped and note what is left to clean. Dropping twice is no error.

    `forget`: it is not to be restored, so that nothing of it need be kept.
    """
    for _ in range(_ATTEMPTS):
        item = table.get(keys.collection(collection_id), keys.STATE)
        if item is None:
            return
        present = state.decode(item)
        if present.is_dropped:
            return
        try:
            table.transact(
                [
                    Delete(keys.names_partition(present.namespace_id), keys.NAME + present.name),
                    Put(keys.collection(collection_id), keys.STATE, _as_dropped(present), if_version=present.version),
                    deletions.put(DeletionRecord(collection_id, system.now(), skip_retention=skip_retention)),
                    *_dropped_member(table, present),
                ]
            )
        except ConditionFailed:
            continue
        return
    raise Unavailable(f"collection {collection_id} is being changed by too many at once")


def swap_name(table: Table, system: System, old_id: UUID, new_id: UUID) -> Collection:
    """Drop a collection and give its name to another of its database, at once; that other. Raises NotFound."""
    for _ in range(_ATTEMPTS):
        old, new = require(table, old_id), require(table, new_id)
        renamed = replace(new, name=old.name)
        names, note = keys.names_partition(old.namespace_id), DeletionRecord(old_id, system.now())
        try:
            table.transact(
                [
                    Put(names, keys.NAME + old.name, _encode_pointer(new_id)),
                    Delete(names, keys.NAME + new.name),
                    Put(keys.collection(old_id), keys.STATE, _as_dropped(old), if_version=old.version),
                    Put(keys.collection(new_id), keys.STATE, state.encode(renamed), if_version=new.version),
                    deletions.put(note),
                    *_dropped_member(table, old),
                ]
            )
        except ConditionFailed:
            found = by_id(table, new_id)
            if found is not None and found.name == old.name and by_id(table, old_id) is None:
                return found  # an adapter wrote it twice, because the first answer was lost
            continue
        return replace(renamed, version=new.version + 1)
    raise Unavailable(f"collection {old_id} is being changed by too many at once")


def _as_dropped(collection: Collection) -> bytes:
    return state.encode(replace(collection, is_dropped=True))


def _dropped_member(table: Table, collection: Collection) -> list[Put]:
    """What marks it dropped in its family, if it has one."""
    if collection.lineage_id is None:
        return []
    member = lineage.find(table, collection.lineage_id, collection.id)
    return [] if member is None else [lineage.put(collection.lineage_id, replace(member, dropped=True))]


def require(table: Table, collection_id: UUID) -> Collection:
    """Read the collection with this id. Raises NotFound when it is missing or dropped."""
    return require_live(read_state(table, collection_id), collection_id)


def require_live(item: Item | None, collection_id: UUID) -> Collection:
    """Decode a collection's state item. Raises NotFound when it is missing or marked as dropped, Corrupt."""
    collection = None if item is None else state.decode(item)
    if collection is None or collection.is_dropped:
        raise not_found(collection_id)
    return collection


def require_stored(table: Table, collection_id: UUID) -> Collection:
    """Read a collection that may be dropped. Raises NotFound once its state item is purged, Corrupt."""
    item = read_state(table, collection_id)
    if item is None:
        raise not_found(collection_id)
    return state.decode(item)


def read_state(table: Table, collection_id: UUID) -> Item | None:
    """Read a collection's state item without its log; None when there is none."""
    return table.get(keys.collection(collection_id), keys.STATE)


def not_found(collection: UUID | str) -> NotFound:
    """The error for a missing collection, in Chroma's words: an id ends with a full stop, a name without one."""
    full_stop = "." if isinstance(collection, UUID) else ""
    return NotFound(f"Collection [{collection}] does not exist{full_stop}")


def _owner_of_name(table: Table, home: UUID, name: str) -> UUID | None:
    pointer = table.get(keys.names_partition(home), keys.NAME + name)
    return None if pointer is None else _decode_pointer(pointer.value)


def _encode_pointer(collection_id: UUID) -> bytes:
    return orjson.dumps({"id": str(collection_id)})


def _decode_pointer(value: bytes) -> UUID:
    return UUID(orjson.loads(value)["id"])
