"""Operations on collections as a whole: create, find, change, fork, drop; and their attached functions."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from afterglow.catalog import collections, lineage
from afterglow.catalog.model import AttachedFunction, Collection, Database
from afterglow.collection.engine_parts import EngineParts
from afterglow.collection.time_travel import fork as forking
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Restriction, Scope
from afterglow.collection.write import functions, lifecycle, write_path
from afterglow.collection.write.deletion_space import with_reserved_space
from afterglow.collection.write.functions import FunctionRequest
from afterglow.collection.write.notification import notify_indexer
from afterglow.errors import NotFound


class Administration(EngineParts):
    """The operations on collections, databases and everything."""

    def create_collection(
        self,
        tenant: str,
        database: str,
        name: str,
        metadata: Mapping[str, Any] | None,
        stored_schema: dict[str, Any],
        *,
        get_or_create: bool = False,
    ) -> Collection:
        """Create a collection; `get_or_create` returns an existing one. Raises InvalidArgument, AlreadyExists."""
        request = lifecycle.CreateRequest(name, metadata, stored_schema)
        return lifecycle.create(self._stores, self.catalog, (tenant, database), request, get_or_create=get_or_create)

    def get_collection(self, tenant: str, database: str, name: str) -> Collection:
        """The collection of this name. Raises NotFound."""
        parent = self.catalog.find_database(tenant, database)
        collection = None if parent is None else collections.by_name(self._stores.table, parent, name)
        if collection is None:
            raise collections.not_found(name)
        return collection

    def locate(
        self, collection_id: UUID, can_see: Callable[[str, str], bool], restriction: Restriction | None = None
    ) -> tuple[str, str]:
        """The tenant and database of a collection, which never change. Raises NotFound.

        A collection that the caller cannot see costs one read, like one that does not exist.
        """

        def is_visible(one: Collection) -> bool:
            is_restricted = restriction is not None and restriction.filter_of(one.name) is None
            return can_see(one.tenant, one.database) and not is_restricted

        collection = self._reader.peek(collection_id)
        if collection is None or not is_visible(collection):
            collection = collections.by_id(self._stores.table, collection_id)
        if collection is None or not is_visible(collection):
            raise collections.not_found(collection_id)
        return collection.tenant, collection.database

    def list_collections(
        self, tenant: str, database: str, limit: int | None = None, offset: int = 0
    ) -> list[Collection]:
        """The database's collections in the order of their ids; none for an unknown database."""
        parent = self.catalog.find_database(tenant, database)
        if parent is None:
            return []
        ids = collections.list_ids(self._stores.table, parent.namespace_id)
        page = ids[offset:] if limit is None else ids[offset : offset + limit]
        return collections.by_ids(self._stores.table, page)

    def count_collections(self, tenant: str, database: str) -> int:
        """The number of collections in the database; 0 for an unknown one."""
        parent = self.catalog.find_database(tenant, database)
        return 0 if parent is None else len(collections.list_ids(self._stores.table, parent.namespace_id))

    def modify_collection(
        self,
        scope: Scope,
        new_name: str | None = None,
        new_metadata: Mapping[str, Any] | None = None,
        new_configuration: Mapping[str, Any] | None = None,
    ) -> Collection:
        """Rename, replace the metadata, reconfigure. Raises NotFound, AlreadyExists, InvalidArgument."""
        self.get_collection_by_id(scope)
        changed = lifecycle.modify(self._stores, scope.collection, new_name, new_metadata, new_configuration)
        self._reader.observe(changed)
        return changed

    def fork(self, scope: Scope, new_name: str, at: PointInTime | None = None) -> Collection:
        """Create a new collection in the same database from this one, now or at a point in time.

        Raises NotFound, AlreadyExists, InvalidArgument.
        """
        self.get_collection_by_id(scope)
        return forking.fork(
            self._stores, scope.collection, forking.ForkRequest(self._require_database(scope), new_name), at
        )

    def fork_count(self, scope: Scope) -> int:
        """The number of forks in the collection's lineage: its own, its ancestors', and theirs."""
        return lineage.fork_count(self._stores.table, self.get_collection_by_id(scope).lineage_id)

    def attach_function(self, scope: Scope, request: FunctionRequest) -> tuple[AttachedFunction, bool]:
        """Attach a function to the collection, and whether it was not attached yet.

        Raises NotFound, AlreadyExists for the output collection, FunctionAttached.
        """
        self.get_collection_by_id(scope)
        collection, is_new = functions.attach(self._stores, scope.collection, request)
        self._reader.observe(collection)
        return functions.find(collection, request.name), is_new

    def get_function(self, scope: Scope, name: str) -> AttachedFunction:
        """The attached function of this name. Raises NotFound."""
        return functions.find(self.get_collection_by_id(scope), name)

    def detach_function(self, scope: Scope, name: str, *, delete_output: bool) -> None:
        """Detach the function of this name, and drop its output if asked to. Raises NotFound."""
        self.get_collection_by_id(scope)
        collection, function = functions.detach(self._stores, scope.collection, name)
        self._reader.observe(collection)
        if delete_output and collections.by_id(self._stores.table, function.output_id) is not None:
            with_reserved_space(self._stores, lambda: self._drop(function.output_id))

    def delete_collection(self, tenant: str, database: str, name: str) -> None:
        """Drop the collection of this name. Raises NotFound."""
        collection_id = self.get_collection(tenant, database, name).id
        with_reserved_space(self._stores, lambda: self._drop(collection_id))

    def delete_database(self, tenant: str, name: str) -> None:
        """Drop the database and its collections. Raises NotFound."""
        database = self.catalog.find_database(tenant, name)
        if database is None:
            raise NotFound(f"Database [{name}] not found")
        with_reserved_space(self._stores, lambda: self._delete_database(database))

    def reset(self) -> None:
        """Drop everything and recreate the default tenant and database."""
        with_reserved_space(self._stores, self._reset)

    def _reset(self) -> None:
        for tenant in self.catalog.list_tenants():
            for database in self.catalog.list_databases(tenant):
                self._delete_database(database, skip_retention=True)
            self.catalog.delete_tenant(tenant)
        self.catalog.ensure_defaults()

    def _require_database(self, scope: Scope) -> Database:
        database = self.catalog.find_database(scope.tenant, scope.database)
        if database is None:
            raise NotFound(f"Database [{scope.database}] not found")
        return database

    def _delete_database(self, database: Database, *, skip_retention: bool = False) -> None:
        self.catalog.delete_database(database, skip_retention=skip_retention)
        for collection_id in collections.list_ids(self._stores.table, database.namespace_id):
            self._drop(collection_id, skip_retention=skip_retention)
        self.catalog.complete_delete(database)

    def _drop(self, collection_id: UUID, *, skip_retention: bool = False) -> None:
        collections.drop(self._stores.table, self._stores.system, collection_id, skip_retention=skip_retention)
        write_path.seal_log(self._stores, collection_id)
        self._reader.evict(collection_id)
        notify_indexer(self._stores, collection_id, "dropped")
