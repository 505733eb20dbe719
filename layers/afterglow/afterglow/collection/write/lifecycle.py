"""Create a collection, and modify its name, metadata and configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from afterglow.catalog import Catalog, collections, embedding_functions, schema, ttl
from afterglow.catalog.embedding_functions import FunctionPolicy
from afterglow.catalog.model import Collection
from afterglow.embedding.function import EmbeddingFunction, dense_function
from afterglow.errors import AlreadyExists, Busy, InvalidArgument
from afterglow.retry import Backoff, attempts
from afterglow.settings import Settings
from afterglow.storage.ports import Stores

_RETRIES = Backoff(max_attempts=20, first=0.0, last=0.0)
"""Look up and create again at once: another process created or deleted the name in between."""


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """The name, metadata and schema of a new collection."""

    name: str
    metadata: Mapping[str, Any] | None
    schema: dict[str, Any]


def function_policy(settings: Settings) -> FunctionPolicy:
    """What embedding functions may do in collections of this process."""
    return FunctionPolicy(settings.embedding_hosts(), settings.allow_unsafe_embedding_functions)


def create(
    stores: Stores,
    catalog: Catalog,
    tenant_and_database: tuple[str, str],
    request: CreateRequest,
    *,
    get_or_create: bool,
) -> Collection:
    """Create the collection in a tenant's database; `get_or_create` returns an existing one of that name.

    Raises InvalidArgument, AlreadyExists.
    """
    ttl.validate(request.metadata)
    embedding_functions.check(embedding_functions.in_schema(request.schema), function_policy(stores.settings))
    tenant, database = tenant_and_database
    parent = catalog.find_database(tenant, database)
    if parent is None:
        raise InvalidArgument(f"Database [{database}] does not exist")
    collection = Collection(
        id=stores.system.new_id(),
        name=request.name,
        tenant=tenant,
        database=database,
        namespace_id=parent.namespace_id,
        schema=request.schema,
        metadata=None if request.metadata is None else dict(request.metadata),
        created_at=stores.system.now(),
    )
    for attempt in attempts(stores.system, _RETRIES):
        existing = collections.by_name(stores.table, parent, request.name) if get_or_create else None
        if existing is not None:
            return existing
        stores.objects.reserve_space()
        try:
            collections.create(stores.table, collection)
        except AlreadyExists:
            # With `get_or_create`, another process created the name first, and may delete it before the next lookup.
            if not get_or_create or attempt == _RETRIES.max_attempts:
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
    """Rename, replace the metadata, reconfigure; None leaves as is. Raises NotFound, AlreadyExists, InvalidArgument."""
    ttl.validate(metadata)
    if configuration is not None:
        embedding_functions.check([configuration.get("embedding_function")], function_policy(stores.settings))

    def edit(existing: Collection) -> Collection:
        new_metadata = existing.metadata if metadata is None else dict(metadata)
        is_same_ttl_key = ttl.ttl_key(new_metadata) == ttl.ttl_key(existing.metadata)
        return replace(
            existing,
            metadata=new_metadata,
            next_expiry=existing.next_expiry if is_same_ttl_key else ttl.unknown_expiry(new_metadata),
            schema=existing.schema
            if configuration is None
            else schema.with_configuration(existing.schema, configuration),
        )

    if name is not None:
        return collections.rename(stores.table, collection_id, name, edit)
    return collections.update(stores.table, collection_id, edit)


def adopt_function(stores: Stores, collection_id: UUID, function: EmbeddingFunction) -> Collection:
    """Name the function in the configuration of a collection that names none and has no vectors.

    Raises NotFound, and Busy if another writer was first with another function, or with vectors of its own.
    """

    def edit(existing: Collection) -> Collection | None:
        present = dense_function(existing.schema)
        if present == function:
            return None
        if present is not None or existing.dimension is not None:
            raise Busy(f"Collection [{existing.name}] got its first embeddings from another writer: try again", 0.1)
        configuration = {"embedding_function": function.stored()}
        return replace(existing, schema=schema.with_configuration(existing.schema, configuration))

    return collections.update(stores.table, collection_id, edit)
