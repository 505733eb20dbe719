"""What a collection is called and how it is set up: made, and changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from afterglow.catalog import Catalog, collections, schema, ttl
from afterglow.catalog.model import Collection
from afterglow.errors import AlreadyExists, InvalidArgument
from afterglow.storage.ports import Stores

_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """What the collection is to be."""

    name: str
    metadata: Mapping[str, Any] | None
    schema: dict[str, Any]


def create(
    stores: Stores, catalog: Catalog, home: tuple[str, str], wish: CreateRequest, *, get_or_create: bool
) -> Collection:
    """Make the collection in a tenant's database, or answer the one of its name that is there with `get_or_create`.

    Raises InvalidArgument, AlreadyExists.
    """
    ttl.validate(wish.metadata)
    tenant, database = home
    place = catalog.find_database(tenant, database)
    if place is None:
        raise InvalidArgument(f"Database [{database}] does not exist")
    collection = Collection(
        id=stores.system.new_id(),
        name=wish.name,
        tenant=tenant,
        database=database,
        namespace_id=place.namespace_id,
        schema=wish.schema,
        metadata=None if wish.metadata is None else dict(wish.metadata),
        created_at=stores.system.now(),
    )
    for attempt in range(_ATTEMPTS):
        present = collections.by_name(stores.table, place, wish.name) if get_or_create else None
        if present is not None:
            return present
        try:
            collections.create(stores.table, collection)
        except AlreadyExists:
            # With `get_or_create`: another was first, and may be deleted again before it is looked at.
            if not get_or_create or attempt == _ATTEMPTS - 1:
                raise
        else:
            return collection
    raise AssertionError("unreachable")


def modify(
    stores: Stores,
    collection_id: UUID,
    name: str | None,
    metadata: Mapping[str, Any] | None,
    configuration: Mapping[str, Any] | None,
) -> Collection:
    """Rename, replace the metadata, reconfigure, as given. Raises NotFound, AlreadyExists, InvalidArgument."""
    ttl.validate(metadata)

    def edit(present: Collection) -> Collection:
        kept = present.metadata if metadata is None else dict(metadata)
        is_same = ttl.ttl_key(kept) == ttl.ttl_key(present.metadata)
        return replace(
            present,
            metadata=kept,
            next_expiry=present.next_expiry if is_same else ttl.unknown_expiry(kept),
            schema=present.schema
            if configuration is None
            else schema.with_configuration(present.schema, configuration),
        )

    if name is not None:
        return collections.rename(stores.table, collection_id, name, edit)
    return collections.update(stores.table, collection_id, edit)
