"""Collections by name and by id: create, find, list, update, rename, drop.

Create writes the name and the state in one transaction that also checks that the database exists. Drop deletes the name
and marks the state as dropped in one transaction, which hides the collection at once. The caller then appends a seal to
its log, so that a writer with an outdated state cannot append. *Crash between the two: the maintenance job finds the
deletion record and appends the seal.*

Updates use optimistic concurrency (Kung & Robinson 1981): a put conditional on the version read, repeated on conflict.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

import orjson

from afterglow.catalog import deletions, keys, lineage, state
from afterglow.catalog.deletions import DeletionRecord
from afterglow.catalog.model import Collection, Database
from afterglow.errors import AlreadyExists, NotFound, Unavailable
from afterglow.settings import System
from afterglow.storage.clock import latest_now
from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put, Table, Write

_ATTEMPTS = 20


def create(table: Table, collection: Collection) -> None:
    """Write the name and the state. Raises AlreadyExists, and NotFound when the database has been deleted."""
    try:
        table.transact(creation_writes(collection))
    except ConditionFailed:
        if not resolve_create_conflict(table, collection):
            raise AlreadyExists(f"Collection [{collection.name}] already exists") from None


def creation_writes(collection: Collection) -> list[Write]:
    """Return the writes and checks of a transaction that creates the collection."""
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
    """After a failed condition, return whether an earlier attempt with a lost response had created the collection.

    Raises NotFound when the database has been deleted, AlreadyExists when another collection has the name.
    """
    if table.get(keys.databases_partition(collection.tenant), keys.DATABASE + collection.database) is None:
        raise NotFound(f"Database [{collection.database}] does not exist")
    owner = _owner_of_name(table, collection.namespace_id, collection.name)
    if owner not in (None, collection.id):
        raise AlreadyExists(f"Collection [{collection.name}] already exists")
    return owner is not None


def by_name(table: Table, database: Database, name: str) -> Collection | None:
    """Return the collection with this name, or None."""
    owner = _owner_of_name(table, database.namespace_id, name)
    return None if owner is None else by_id(table, owner)


def by_id(table: Table, collection_id: UUID) -> Collection | None:
    """Return the collection with this id, or None when it is missing or dropped."""
    collection = stored(table, collection_id)
    return None if collection is None or collection.is_dropped else collection


def list_ids(table: Table, namespace_id: UUID) -> list[UUID]:
    """Return the ids of a database's collections, ascending."""
    return sorted(
        _decode_pointer(item.value) for item in table.query(keys.names_partition(namespace_id), after=keys.NAME)
    )


def list_names(table: Table, namespace_id: UUID) -> list[tuple[str, UUID]]:
    """Return the collection names of a database, ascending, with the id of each."""
    items = table.query(keys.names_partition(namespace_id), after=keys.NAME)
    return [(item.sk.removeprefix(keys.NAME), _decode_pointer(item.value)) for item in items]


def by_ids(table: Table, collection_ids: list[UUID]) -> list[Collection]:
    """Return the existing collections among these ids, in this order."""
    items = table.get_many([(keys.collection(collection_id), keys.STATE) for collection_id in collection_ids])
    stored = [state.decode(item) for item in items if item is not None]
    return [collection for collection in stored if not collection.is_dropped]


def update(table: Table, collection_id: UUID, edit: Callable[[Collection], Collection | None]) -> Collection:
    """Apply `edit` to the state by a conditional put, repeatedly while other writers are faster.

    `edit` returns None when there is nothing to change. Raises NotFound when it is missing or dropped, Unavailable.
    """
    for _ in range(_ATTEMPTS):
        existing = require(table, collection_id)
        edited = edit(existing)
        if edited is None:
            return existing
        try:
            version = table.put(
                keys.collection(collection_id), keys.STATE, state.encode(edited), if_version=existing.version
            )
        except ConditionFailed:
            continue
        return replace(edited, version=version)
    raise Unavailable(f"collection {collection_id} has too many concurrent changes; try again")


def rename(table: Table, collection_id: UUID, name: str, edit: Callable[[Collection], Collection]) -> Collection:
    """Like `update`, and change the name in the same transaction. Raises AlreadyExists when the name is taken."""
    for _ in range(_ATTEMPTS):
        existing = require(table, collection_id)
        if existing.name == name:
            return update(table, collection_id, edit)
        edited = replace(edit(existing), name=name)
        names = keys.names_partition(existing.namespace_id)
        try:
            table.transact(
                [
                    Put(names, keys.NAME + name, _encode_pointer(collection_id), if_absent=True),
                    Delete(names, keys.NAME + existing.name),
                    Put(keys.collection(collection_id), keys.STATE, state.encode(edited), if_version=existing.version),
                ]
            )
        except ConditionFailed:
            if _owner_of_name(table, existing.namespace_id, name) not in (None, collection_id):
                raise AlreadyExists(f"Collection [{name}] already exists") from None
            continue
        return replace(edited, version=existing.version + 1)
    raise Unavailable(f"collection {collection_id} has too many concurrent changes; try again")


def drop(table: Table, system: System, collection_id: UUID, *, skip_retention: bool = False) -> None:
    """Delete the name, mark the state as dropped and write a deletion record. Dropping twice is no error.

    `skip_retention`: the collection cannot be restored, and its objects are deleted without delay.
    """
    for _ in range(_ATTEMPTS):
        existing = by_id(table, collection_id)
        if existing is None:
            return
        now = latest_now(table, system)
        try:
            table.transact(
                [
                    Delete(keys.names_partition(existing.namespace_id), keys.NAME + existing.name),
                    Put(keys.collection(collection_id), keys.STATE, _as_dropped(existing), if_version=existing.version),
                    deletions.put(DeletionRecord(collection_id, now, skip_retention=skip_retention)),
                    *_lineage_writes(table, existing),
                ]
            )
        except ConditionFailed:
            continue
        return
    raise Unavailable(f"collection {collection_id} has too many concurrent changes; try again")


def swap_name(
    table: Table,
    system: System,
    old_id: UUID,
    new_id: UUID,
    *,
    edit: Callable[[Collection, Collection], Collection] = lambda _, new: new,
    extra_writes: Sequence[Write] = (),
) -> Collection:
    """Atomically drop a collection and give its name to another one, which is returned.

    `edit` changes the new state, given the old and the new one. `extra_writes`, to other items, are part of the
    transaction. Raises NotFound, and ConditionFailed where the condition of one of these fails.
    """
    for _ in range(_ATTEMPTS):
        old, new = require(table, old_id), require(table, new_id)
        renamed = replace(edit(old, new), name=old.name)
        names, record = keys.names_partition(old.namespace_id), DeletionRecord(old_id, latest_now(table, system))
        try:
            table.transact(
                [
                    Put(names, keys.NAME + old.name, _encode_pointer(new_id)),
                    Delete(names, keys.NAME + new.name),
                    Put(keys.collection(old_id), keys.STATE, _as_dropped(old), if_version=old.version),
                    Put(keys.collection(new_id), keys.STATE, state.encode(renamed), if_version=new.version),
                    deletions.put(record),
                    *_lineage_writes(table, old),
                    *extra_writes,
                ]
            )
        except ConditionFailed as conflict:
            current = by_id(table, new_id)
            if current is not None and current.name == old.name and by_id(table, old_id) is None:
                return current  # an earlier attempt with a lost response had succeeded
            if conflict.key in {(write.pk, write.sk) for write in extra_writes}:
                raise
            continue
        return replace(renamed, version=new.version + 1)
    raise Unavailable(f"collection {old_id} has too many concurrent changes; try again")


def _as_dropped(collection: Collection) -> bytes:
    return state.encode(replace(collection, is_dropped=True))


def _lineage_writes(table: Table, collection: Collection) -> list[Put]:
    """Return the write that marks the collection as dropped in its lineage, if it has one."""
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
    existing = stored(table, collection_id)
    if existing is None:
        raise not_found(collection_id)
    return existing


def stored(table: Table, collection_id: UUID) -> Collection | None:
    """Read a collection that may be dropped; None once its state item is purged. Raises Corrupt."""
    item = read_state(table, collection_id)
    return None if item is None else state.decode(item)


def read_state(table: Table, collection_id: UUID) -> Item | None:
    """Read a collection's state item without its log; None when there is none."""
    return table.get(keys.collection(collection_id), keys.STATE)


def not_found(collection: UUID | str) -> NotFound:
    """The error for a missing collection, in Chroma's words: an id ends with a full stop, a name without one."""
    if isinstance(collection, UUID):
        return NotFound(f"Collection [{collection}] does not exist.", collection)
    return NotFound(f"Collection [{collection}] does not exist")


def _owner_of_name(table: Table, namespace_id: UUID, name: str) -> UUID | None:
    pointer = table.get(keys.names_partition(namespace_id), keys.NAME + name)
    return None if pointer is None else _decode_pointer(pointer.value)


def _encode_pointer(collection_id: UUID) -> bytes:
    return orjson.dumps({"id": str(collection_id)})


def _decode_pointer(value: bytes) -> UUID:
    return UUID(orjson.loads(value)["id"])
