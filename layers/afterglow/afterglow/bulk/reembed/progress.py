"""The progress of a copy: an item in its partition. Its version is the condition of every write to the copy."""

from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from afterglow.catalog import collections, embedding_functions, keys, schema
from afterglow.catalog.model import Collection
from afterglow.collection.write.lifecycle import function_policy
from afterglow.embedding.function import EmbeddingFunction, dense_function
from afterglow.errors import AlreadyExists, Corrupt, InvalidArgument, WriteConflict
from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put, Stores

_MAX_NAME_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Progress:
    """The copy reflects the source's log up to entry `position`, once it is complete: its first pass is done."""

    copy_id: UUID
    source_id: UUID
    owner: str
    position: int = 0
    is_complete: bool = False
    version: int = 1

    @property
    def check(self) -> Check:
        """The condition that this run is still the owner."""
        return Check(keys.collection(self.copy_id), keys.REEMBED, if_version=self.version)

    @property
    def deletion(self) -> Delete:
        """The end of the copy's progress, on the same condition."""
        return Delete(keys.collection(self.copy_id), keys.REEMBED, if_version=self.version)


def copy_name(name: str) -> str:
    """The name of the copy of a collection."""
    return f"{name[:_MAX_NAME_LENGTH]}-reembedded"


def begin(stores: Stores, source: Collection, function: EmbeddingFunction, copy: Collection | None) -> Progress:
    """Become the owner of `copy`, the collection under that name; created if it is None.

    Raises AlreadyExists, InvalidArgument if it is embedded by another function, and the errors of a creation.
    """
    if copy is None:
        return _create(stores, source, function)
    item = stores.table.get(keys.collection(copy.id), keys.REEMBED)
    progress = None if item is None else _decode(copy.id, item)
    if progress is None or progress.source_id != source.id:
        raise AlreadyExists(
            f"collection {copy.name!r} exists and is no copy of {source.name!r}: rename or delete it, because the "
            f"records are embedded anew under this name"
        )
    present = dense_function(copy.schema)
    if present != function:
        name = "none" if present is None else present.name
        raise InvalidArgument(
            f"collection {copy.name!r} is being embedded by another function or configuration ({name}): continue with "
            f"that, or delete it to start again"
        )
    return advance(stores, replace(progress, owner=stores.system.nonce()))


def advance(stores: Stores, progress: Progress) -> Progress:
    """Put the progress. Raises WriteConflict if another run became the owner."""
    pk, value = keys.collection(progress.copy_id), _encode(progress)
    try:
        version = stores.table.put(pk, keys.REEMBED, value, if_version=progress.version)
    except ConditionFailed as conflict:
        present = conflict.existing
        if present is None or present.value != value:
            raise not_owner() from None
        version = present.version  # an earlier attempt with a lost response had succeeded
    return replace(progress, version=version)


def not_owner() -> WriteConflict:
    """The error of a run that is no longer the owner of the copy."""
    return WriteConflict("another run embeds the same collection anew, or has just finished: this one stops")


def _create(stores: Stores, source: Collection, function: EmbeddingFunction) -> Progress:
    stored = function.stored()
    embedding_functions.check([stored], function_policy(stores.settings))
    copy = Collection(
        id=stores.system.new_id(),
        name=copy_name(source.name),
        tenant=source.tenant,
        database=source.database,
        namespace_id=source.namespace_id,
        schema=schema.with_configuration(source.schema, {"embedding_function": stored}),
        metadata=source.metadata,
        created_at=stores.system.now(),
    )
    progress = Progress(copy.id, source.id, stores.system.nonce())
    item = Put(keys.collection(copy.id), keys.REEMBED, _encode(progress), if_absent=True)
    try:
        stores.table.transact([*collections.creation_writes(copy), item])
    except ConditionFailed:
        if not collections.resolve_create_conflict(stores.table, copy):
            raise AlreadyExists(f"collection {copy.name!r} already exists") from None
    return progress


def _encode(progress: Progress) -> bytes:
    return orjson.dumps(
        {
            "source": str(progress.source_id),
            "owner": progress.owner,
            "position": progress.position,
            "complete": progress.is_complete,
        }
    )


def _decode(copy_id: UUID, item: Item) -> Progress:
    try:
        value = orjson.loads(item.value)
        return Progress(
            copy_id, UUID(value["source"]), value["owner"], value["position"], value["complete"], item.version
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"the progress of collection {copy_id} cannot be read: {error}") from error
