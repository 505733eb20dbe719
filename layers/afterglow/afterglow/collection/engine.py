"""The engine: everything the wire can ask for, over one deployment's stores. Safe for any number of threads."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from afterglow.access.keys import Keys
from afterglow.catalog import Catalog, collections, schema
from afterglow.catalog.model import Collection, Database
from afterglow.collection import progress, reading, writing
from afterglow.collection.kept import Kept
from afterglow.collection.model import (
    Counted,
    Hits,
    Include,
    IndexingStatus,
    ReadLevel,
    Records,
    Scope,
    Selection,
    within,
)
from afterglow.collection.replica import View
from afterglow.errors import AlreadyExists, InvalidArgument, NotFound, StorageFull
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Write
from afterglow.storage.stores import Stores

_CREATE_ATTEMPTS = 20


class Engine:
    """Collections by scope; tenants and databases through `catalog`, API keys through `keys`."""

    def __init__(
        self, stores: Stores, background: Executor | None = None, on_close: Sequence[Callable[[], None]] = ()
    ) -> None:
        """`background` refreshes checkpoints; without one that happens within reads. `on_close` runs first of all."""
        self.catalog = Catalog(stores.table, stores.ambient)
        self.keys = Keys(stores.table, stores.ambient)
        self._stores = stores
        self._background = background
        self._on_close = on_close
        self._kept = Kept(stores, background)

    # collections

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
        """Make a collection, or answer the one there with `get_or_create`. Raises InvalidArgument, AlreadyExists."""
        place = self.catalog.find_database(tenant, database)
        if place is None:
            raise InvalidArgument(f"Database [{database}] does not exist")
        collection = Collection(
            id=self._stores.ambient.new_id(),
            name=name,
            tenant=tenant,
            database=database,
            home=place.home,
            schema=stored_schema,
            metadata=None if metadata is None else dict(metadata),
            created=self._stores.ambient.now(),
        )
        for attempt in range(_CREATE_ATTEMPTS):
            present = collections.by_name(self._stores.table, place, name) if get_or_create else None
            if present is not None:
                return present
            try:
                collections.create(self._stores.table, collection)
            except AlreadyExists:
                # With `get_or_create`: another was first, and may be deleted again before it is looked at.
                if not get_or_create or attempt == _CREATE_ATTEMPTS - 1:
                    raise
            else:
                return collection
        raise AssertionError("unreachable")

    def get_collection(self, tenant: str, database: str, name: str) -> Collection:
        """The collection of this name. Raises NotFound."""
        place = self.catalog.find_database(tenant, database)
        found = None if place is None else collections.by_name(self._stores.table, place, name)
        if found is None:
            raise NotFound(f"Collection [{name}] does not exist")
        return found

    def get_collection_by_id(self, scope: Scope) -> Collection:
        """The collection of this id, if it is in the scope's tenant and database. Raises NotFound."""
        return within(scope, collections.by_id(self._stores.table, scope.collection))

    def place_of(self, collection_id: UUID, sees: Callable[[str, str], bool]) -> tuple[str, str]:
        """The tenant and the database of a collection, which it never leaves. Raises NotFound.

        What the caller does not see takes the one read that a collection takes which is not there.
        """
        found = self._known(collection_id)
        if found is None or not sees(found.tenant, found.database):
            found = collections.by_id(self._stores.table, collection_id)
        if found is None or not sees(found.tenant, found.database):
            raise NotFound(f"Collection [{collection_id}] does not exist.")
        return found.tenant, found.database

    def list_collections(
        self, tenant: str, database: str, limit: int | None = None, offset: int = 0
    ) -> list[Collection]:
        """The database's collections by id; none for an unknown one."""
        place = self.catalog.find_database(tenant, database)
        if place is None:
            return []
        ids = collections.ids(self._stores.table, place.home)
        chosen = ids[offset:] if limit is None else ids[offset : offset + limit]
        return collections.several(self._stores.table, chosen)

    def count_collections(self, tenant: str, database: str) -> int:
        """How many collections the database has; 0 for an unknown one."""
        place = self.catalog.find_database(tenant, database)
        return 0 if place is None else len(collections.ids(self._stores.table, place.home))

    def modify_collection(
        self,
        scope: Scope,
        new_name: str | None = None,
        new_metadata: Mapping[str, Any] | None = None,
        new_configuration: Mapping[str, Any] | None = None,
    ) -> Collection:
        """Rename, replace the metadata, reconfigure. Raises NotFound, AlreadyExists, InvalidArgument."""
        self.get_collection_by_id(scope)

        def edit(present: Collection) -> Collection:
            return replace(
                present,
                metadata=present.metadata if new_metadata is None else dict(new_metadata),
                schema=present.schema
                if new_configuration is None
                else schema.updated(present.schema, new_configuration),
            )

        if new_name is not None:
            return collections.rename(self._stores.table, scope.collection, new_name, edit)
        return collections.change(self._stores.table, scope.collection, edit)

    def delete_collection(self, tenant: str, database: str, name: str) -> None:
        """Drop the collection of this name. Raises NotFound."""
        self._drop(self.get_collection(tenant, database, name).id)

    def delete_database(self, tenant: str, name: str) -> None:
        """Drop the database and its collections. Raises NotFound."""
        database = self.catalog.find_database(tenant, name)
        if database is None:
            raise NotFound(f"Database [{name}] not found")
        self._delete_database(database)

    def reset(self) -> None:
        """Drop everything and make the default tenant and database again."""
        for tenant in self.catalog.list_tenants():
            for database in self.catalog.list_databases(tenant):
                self._delete_database(database)
            self.catalog.forget_tenant(tenant)
        self.catalog.ensure_defaults()

    # records

    def write(self, scope: Scope, batch: Batch, beside: Sequence[Write] = ()) -> int | None:
        """Make an add, update or upsert durable; the next read sees it. The number of its log entry, where it has one.

        `beside` is written in one transaction with the entry. Raises NotFound, InvalidArgument, Busy, and
        ConditionFailed where one of `beside` is refused: then nothing is written.
        """
        return self._write(scope, batch, beside)

    def delete(self, scope: Scope, selection: Selection, limit: int | None = None) -> Counted:
        """Delete the selected records; how many. By ids alone that is the number of ids given, as the contract says."""
        if selection.where is None and selection.where_document is None:
            ids = list(selection.ids or ())
            return Counted(len(ids), self._write(scope, Batch(Op.DELETE, ids)))

        def evaluate() -> tuple[int, int, list[str]]:
            view = self._view(scope, selection)
            return view.applied, view.ops, reading.matching_ids(view, selection, limit)

        return writing.delete_chosen(self._stores, self._kept.open(scope.collection).end, scope.collection, evaluate)

    def get(
        self, scope: Scope, selection: Selection, limit: int | None, offset: int, include: frozenset[Include]
    ) -> Records:
        """The selected records in insertion order."""
        return reading.get(self._view(scope, selection), selection, limit, offset, include)

    def query(
        self,
        scope: Scope,
        queries: NDArray[np.float32],
        n_results: int,
        selection: Selection,
        include: frozenset[Include],
    ) -> list[Hits]:
        """For each query the nearest of the selected records, nearest first."""
        view = self._view(scope, selection)
        exact_rows = self._stores.settings.exact_rows
        return reading.query(view, queries, n_results, selection, include, exact_rows=exact_rows)

    def answers_at_once(self, scope: Scope, queries: int, n_results: int, selection: Selection) -> bool:
        """Whether such a query is sure to take about a millisecond: too short to be worth another thread."""
        opened = self._kept.find(scope.collection)
        rows = None if opened is None else opened.replica.warm_rows()
        return rows is not None and reading.is_light(rows, queries, n_results, selection)

    def count(self, scope: Scope, read_level: ReadLevel = ReadLevel.INDEX_AND_WAL) -> Counted:
        """How many records there are; with `index_only`, in the checkpoint."""
        view = self._view(scope, Selection())
        if read_level is ReadLevel.INDEX_ONLY:
            return Counted(view.manifest.records, view.manifest.folded)
        return Counted(view.records, view.applied)

    def indexing_status(self, scope: Scope) -> IndexingStatus:
        """How many operations were logged, and how many of them are folded and need no graph or have one."""
        return progress.indexing_status(self._stores, self.get_collection_by_id(scope))

    # the process

    def check(self) -> None:
        """Raises Unavailable or another error where the table does not answer."""
        self.catalog.list_tenants()

    def close(self) -> None:
        """Let go of the table; reads and writes fail from now on."""
        for each in self._on_close:
            each()
        if self._background is not None:
            self._background.shutdown(wait=True, cancel_futures=True)
        self._stores.table.close()

    def _write(self, scope: Scope, batch: Batch, beside: Sequence[Write] = ()) -> int | None:
        self._refuse_foreign(scope)
        try:
            return writing.write(self._stores, self._kept.open(scope.collection).end, scope, batch, beside)
        except NotFound:
            self._kept.forget(scope.collection)
            raise
        finally:
            self._kept.make_room()

    def _view(self, scope: Scope, selection: Selection) -> View:
        self._refuse_foreign(scope)
        try:
            try:
                view = self._kept.open(scope.collection).replica.view(selection.ids, scope)
            except StorageFull:
                # What else is open here holds the room.
                self._kept.forget_others(scope.collection)
                view = self._kept.open(scope.collection).replica.view(selection.ids, scope)
        except NotFound:
            self._kept.forget(scope.collection)
            raise
        finally:
            self._kept.make_room()
        within(scope, view.collection)
        return view

    def _known(self, collection_id: UUID) -> Collection | None:
        """The collection as this process last saw it, if it is open here."""
        opened = self._kept.find(collection_id)
        return None if opened is None else opened.known()

    def _refuse_foreign(self, scope: Scope) -> None:
        """Raises NotFound for a collection that is open here, but not in the scope.

        After one read, as where there is none: neither the answer nor its time tells that it is there.
        """
        known = self._known(scope.collection)
        if known is not None and (known.tenant, known.database) != (scope.tenant, scope.database):
            within(scope, collections.by_id(self._stores.table, scope.collection))

    def _delete_database(self, database: Database) -> None:
        self.catalog.forget_database(database)
        for collection_id in collections.ids(self._stores.table, database.home):
            self._drop(collection_id)
        self.catalog.finish_forgetting(database)

    def _drop(self, collection_id: UUID) -> None:
        collections.drop(self._stores.table, self._stores.ambient, collection_id)
        writing.fence(self._stores, collection_id)
        self._kept.forget(collection_id)
        writing.tell_indexer(self._stores, collection_id, "dropped")
