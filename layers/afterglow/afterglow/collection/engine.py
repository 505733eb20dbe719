"""The engine: every operation of the API, over one deployment's stores. Safe for any number of threads."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from afterglow.auth.api_keys import Keys
from afterglow.catalog import Catalog, collections, lineage
from afterglow.catalog.model import AttachedFunction, Collection, Database
from afterglow.catalog.schema_defaults import EMBEDDING
from afterglow.collection.changes.position import ChangePosition
from afterglow.collection.changes.reader import ChangePage, ChangeReader
from afterglow.collection.read import ranked_search, read_path, values
from afterglow.collection.read.explanation import Explanation
from afterglow.collection.read.ranked_search import DenseKnn, RankedHits, Search, SearchResult, SparseKnn, TextKnn
from afterglow.collection.read.read_path import Hits, ReadLimits
from afterglow.collection.read.reader import CollectionReader
from afterglow.collection.read.sparse_knn import SparseQuery
from afterglow.collection.read.values import DistinctValues, ValueRange
from afterglow.collection.replica import indexing_progress
from afterglow.collection.time_travel import fork as forking
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import (
    CountResult,
    Include,
    IndexingStatus,
    LogPosition,
    QueryResult,
    ReadLevel,
    Records,
    Restriction,
    Scope,
    Selection,
    require_in_scope,
)
from afterglow.collection.write import admission, functions, lifecycle, write_path
from afterglow.collection.write import transaction as transactions
from afterglow.collection.write.deletion_space import with_reserved_space
from afterglow.collection.write.functions import FunctionRequest
from afterglow.collection.write.transaction import CommitResult, Transaction
from afterglow.embedding import completion
from afterglow.embedding.service import EmbeddingService
from afterglow.errors import InvalidArgument, NotFound
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores, Write


class Engine:
    """Collections by scope; tenants and databases through `catalog`, API keys through `keys`."""

    def __init__(
        self, stores: Stores, background: Executor | None = None, on_close: Sequence[Callable[[], None]] = ()
    ) -> None:
        """`background` refreshes checkpoints; without it, reads do. `close` calls `on_close` first.

        Raises InvalidArgument for invalid settings of embedding.
        """
        self.catalog = Catalog(stores.table, stores.system)
        self.keys = Keys(stores.table, stores.system)
        self._stores = stores
        self._background = background
        self._on_close = on_close
        self._reader = CollectionReader(stores, background)
        self._changes = ChangeReader(stores)
        self._embedding = EmbeddingService(stores.settings, stores.system)
        self._limits = ReadLimits(stores.settings.max_read_seconds, stores.settings.max_result_bytes)

    @property
    def open_collections(self) -> int:
        """The number of collections open in memory."""
        return self._reader.open_collections

    @property
    def stores(self) -> Stores:
        """The deployment's stores, for everything in them other than collections."""
        return self._stores

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

    def get_collection_by_id(self, scope: Scope) -> Collection:
        """The collection of this id if it is in the scope's tenant and database. Raises NotFound."""
        return require_in_scope(scope, collections.by_id(self._stores.table, scope.collection))

    def locate(self, collection_id: UUID, can_see: Callable[[str, str], bool]) -> tuple[str, str]:
        """The tenant and database of a collection, which never change. Raises NotFound.

        A collection that the caller cannot see costs one read, like one that does not exist.
        """
        collection = self._reader.peek(collection_id)
        if collection is None or not can_see(collection.tenant, collection.database):
            collection = collections.by_id(self._stores.table, collection_id)
        if collection is None or not can_see(collection.tenant, collection.database):
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

    # records

    def write(self, scope: Scope, batch: Batch, extra_writes: Sequence[Write] = ()) -> int | None:
        """Make an add, update or upsert durable; the next read sees it. The number of its log entry, None for no ids.

        Documents without an embedding are embedded first. `extra_writes` are written in one transaction with the entry.
        Raises NotFound, InvalidArgument, Busy, Unavailable, and ConditionFailed if the condition of an extra write
        fails: in each case nothing is written.
        """
        completed = self._complete(scope, batch)
        if scope.restriction is not None:
            assert not extra_writes, "imports have no restriction"
            return self._write_admitted(scope, scope.restriction, completed)
        return self._write(scope, completed, extra_writes)

    def delete(self, scope: Scope, selection: Selection, limit: int | None = None) -> CountResult:
        """Delete the selected records and count them; by ids alone, the count is the number of ids, as in Chroma."""
        return with_reserved_space(self._stores, lambda: self._delete(scope, selection, limit))

    def _delete(self, scope: Scope, selection: Selection, limit: int | None) -> CountResult:
        if selection.where is None and selection.where_document is None:
            ids = list(selection.ids or ())
            batch = Batch(Op.DELETE, ids)
            if scope.restriction is not None:
                return CountResult(len(ids), self._write_admitted(scope, scope.restriction, batch))
            return CountResult(len(ids), self._write(scope, batch))

        def evaluate() -> tuple[LogPosition, list[str]]:
            snapshot = self._reader.snapshot(scope, selection.ids)
            ids = read_path.matching_ids(snapshot, selection, limit, self._stores.settings.max_read_seconds)
            return snapshot.log_position, ids

        return write_path.delete_where(self._stores, self._reader.log_end(scope), scope.collection, evaluate)

    def get(
        self,
        scope: Scope,
        selection: Selection,
        limit: int | None,
        offset: int,
        include: frozenset[Include],
        *,
        at: PointInTime | None = None,
        explanation: Explanation | None = None,
    ) -> Records:
        """The selected records in insertion order, now or at a point in time. Fills the `explanation`.

        Raises LimitExceeded, ResponseTooLarge.
        """
        snapshot = self._reader.snapshot(scope, selection.ids, at)
        return read_path.get(snapshot, selection, limit, offset, include, limits=self._limits, explanation=explanation)

    def get_in_transaction(
        self,
        scope: Scope,
        selection: Selection,
        limit: int | None,
        offset: int,
        include: frozenset[Include],
        *,
        position: int | None,
    ) -> Records:
        """`get` in a transaction: now, or at the position of its first read. Raises StaleRead as well."""
        take_snapshot = partial(self._reader.snapshot_at_token, scope)
        snapshot = transactions.snapshot_to_read(self._stores, scope, selection.ids, position, take_snapshot)
        return read_path.get(snapshot, selection, limit, offset, include, limits=self._limits)

    def commit(self, scope: Scope, transaction: Transaction) -> CommitResult:
        """Make all operations of a transaction durable as one entry, unless what it has read was written since.

        Documents without an embedding are embedded first. Raises WriteConflict, StaleRead, and what `write` raises: in
        each case nothing is written.
        """
        assert scope.restriction is None, "transactions have no restriction"
        operations = [
            self._complete(scope, operation)
            if isinstance(operation, Batch) and operation.op is not Op.DELETE
            else operation
            for operation in transaction.operations
        ]
        completed = replace(transaction, operations=operations)

        def run() -> CommitResult:
            try:
                return transactions.commit(
                    self._stores,
                    self._reader.log_end(scope),
                    scope,
                    completed,
                    partial(self._reader.snapshot_at_token, scope),
                )
            except NotFound:
                self._reader.evict(scope.collection)
                raise
            finally:
                self._reader.trim()

        if transactions.only_deletes(completed):
            return with_reserved_space(self._stores, run)
        return run()

    def query(
        self,
        scope: Scope,
        queries: NDArray[np.float32] | Sequence[str],
        n_results: int,
        selection: Selection,
        include: frozenset[Include],
        *,
        at: PointInTime | None = None,
    ) -> list[QueryResult]:
        """The nearest selected records for each query, a vector or a text; nearest first, now or at a point in time.

        Raises LimitExceeded, ResponseTooLarge.
        """
        return self.find(scope, queries, n_results, selection, include, at=at).read()

    def find(
        self,
        scope: Scope,
        queries: NDArray[np.float32] | Sequence[str],
        n_results: int,
        selection: Selection,
        include: frozenset[Include],
        *,
        at: PointInTime | None = None,
        explanation: Explanation | None = None,
    ) -> Hits:
        """The first half of `query`: the records are located and their size is known, but they are not read.

        Fills the `explanation`.

        Raises LimitExceeded, ResponseTooLarge.
        """
        if not isinstance(queries, np.ndarray):
            queries = self.embed_queries(scope, queries)
        return read_path.find(
            self._reader.snapshot(scope, selection.ids, at),
            queries,
            n_results,
            selection,
            include,
            limits=self._limits,
            exact_search_max_rows=self._stores.settings.exact_search_max_rows,
            explanation=explanation,
        )

    def can_query_inline(
        self, scope: Scope, queries: int, n_results: int, selection: Selection, at: PointInTime | None = None
    ) -> bool:
        """Whether such a query certainly takes about a millisecond: too short to be worth another thread."""
        if scope.restriction is not None:
            return False
        rows = self._reader.warm_rows(scope.collection, at)
        return rows is not None and read_path.is_cheap(rows, queries, n_results, selection)

    def search(
        self, scope: Scope, searches: Sequence[Search], read_level: ReadLevel, at: PointInTime | None = None
    ) -> list[SearchResult]:
        """The result of each search, all in one snapshot; with `index_only`, in the checkpoint alone.

        Raises LimitExceeded, ResponseTooLarge.
        """
        return [hits.read() for hits in self.find_ranked(scope, searches, read_level, at)]

    def find_ranked(
        self,
        scope: Scope,
        searches: Sequence[Search],
        read_level: ReadLevel,
        at: PointInTime | None = None,
        explanation: Explanation | None = None,
    ) -> list[RankedHits]:
        """The first half of `search`, like `find`."""
        searches = self._embed_searches(scope, searches)
        ids = ranked_search.referenced_ids(searches)
        snapshot = self._reader.snapshot(scope, ids or None, at, indexed=read_level is ReadLevel.INDEX_ONLY)
        exact_search_max_rows = self._stores.settings.exact_search_max_rows
        return ranked_search.execute(
            snapshot,
            searches,
            ids,
            self._limits,
            exact_search_max_rows=exact_search_max_rows,
            explanation=explanation,
        )

    def can_search_inline(self, scope: Scope, searches: Sequence[Search], at: PointInTime | None = None) -> bool:
        """Whether such searches certainly take about a millisecond."""
        if scope.restriction is not None:
            return False
        rows = self._reader.warm_rows(scope.collection, at)
        return rows is not None and ranked_search.is_cheap(rows, searches)

    def count(
        self, scope: Scope, read_level: ReadLevel = ReadLevel.INDEX_AND_WAL, at: PointInTime | None = None
    ) -> CountResult:
        """The number of records; with `index_only`, in the checkpoint alone."""
        snapshot = self._reader.snapshot(scope, at=at, indexed=read_level is ReadLevel.INDEX_ONLY)
        return CountResult(read_path.count(snapshot), snapshot.applied_seq)

    def count_selected(self, scope: Scope, selection: Selection, at: PointInTime | None = None) -> CountResult:
        """The number of selected records. Raises LimitExceeded."""
        snapshot = self._reader.snapshot(scope, selection.ids, at)
        return CountResult(values.count(snapshot, selection, self._limits), snapshot.applied_seq)

    def distinct(
        self, scope: Scope, selection: Selection, key: str, limit: int, at: PointInTime | None = None
    ) -> DistinctValues:
        """The most frequent values of a metadata key in the selected records, at most `limit`.

        Raises LimitExceeded, ResponseTooLarge.
        """
        return values.distinct(self._reader.snapshot(scope, selection.ids, at), selection, key, limit, self._limits)

    def value_range(self, scope: Scope, selection: Selection, key: str, at: PointInTime | None = None) -> ValueRange:
        """The least and the greatest value of a metadata key in the selected records. Raises LimitExceeded."""
        return values.value_range(self._reader.snapshot(scope, selection.ids, at), selection, key, self._limits)

    def changes(self, scope: Scope, after: ChangePosition, limit: int, max_bytes: int) -> ChangePage:
        """The writes after a position in the order of the log: at most `limit` lines and about `max_bytes`.

        Raises NotFound, PositionExpired, InvalidArgument for a position behind the end of the log.
        """
        self.get_collection_by_id(scope)
        return self._changes.read(scope.collection, after, limit, max_bytes)

    def indexing_status(self, scope: Scope) -> IndexingStatus:
        """Logged operations, and how many of them are indexed: flushed, and in an HNSW index if they need one."""
        return indexing_progress.indexing_status(self._stores, self.get_collection_by_id(scope))

    # texts

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts by the server's own function, float32 (n, d). Raises InvalidArgument, Busy, Unavailable."""
        function = self._embedding.default
        if function is None:
            raise InvalidArgument("this server has no embedding function of its own (AFTERGLOW_EMBEDDER)")
        return self._embedding.embed_documents(function, texts)

    def embed_queries(self, scope: Scope, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed query texts by the collection's function, float32 (n, d).

        Raises NotFound, InvalidArgument, Busy, Unavailable.
        """
        function = completion.query_function(self._known_collection(scope), self._embedding)
        if not texts:
            return np.empty((0, 0), dtype=np.float32)
        return self._embedding.embed_queries(function, texts)

    # the process

    def check(self) -> None:
        """Raises Unavailable or another error if the table cannot be read."""
        self.catalog.list_tenants()

    def close(self) -> None:
        """Close the table; reads and writes fail from now on."""
        for callback in self._on_close:
            callback()
        self._embedding.close()
        if self._background is not None:
            self._background.shutdown(wait=True, cancel_futures=True)
        self._stores.table.close()

    def _complete(self, scope: Scope, batch: Batch) -> Batch:
        """The batch with the vectors that it lacks."""
        if completion.lacks_embeddings(batch):
            collection = self.get_collection_by_id(scope)  # not a cached one: its function may have changed
        elif batch.documents is None and batch.metadatas is None:
            return batch
        else:
            collection = self._collection_to_write(scope)
        completed = completion.complete(batch, collection, self._embedding)
        if completed.new_function is not None:
            self._reader.observe(lifecycle.adopt_function(self._stores, scope.collection, completed.new_function))
        return completed.batch

    def _embed_searches(self, scope: Scope, searches: Sequence[Search]) -> Sequence[Search]:
        """The searches with vectors instead of texts."""
        texts = ranked_search.dense_texts(searches)
        if not texts and not ranked_search.has_texts(searches):
            return searches
        vectors = dict(zip(texts, self.embed_queries(scope, texts), strict=True)) if texts else {}
        stored_schema = self._known_collection(scope).schema

        def resolve(knn: TextKnn) -> DenseKnn | SparseKnn:
            if knn.key == EMBEDDING:
                return DenseKnn(vectors[knn.text], knn.limit)
            vector = completion.sparse_query(stored_schema, knn.key, knn.text)
            return SparseKnn(knn.key, SparseQuery.from_stored(vector), knn.limit)

        return [ranked_search.with_vectors(search, resolve) for search in searches]

    def _known_collection(self, scope: Scope) -> Collection:
        """The collection as this process last read it, or else as it is. Raises NotFound."""
        known = self._reader.peek(scope.collection)
        if known is None or (known.tenant, known.database) != (scope.tenant, scope.database):
            return self.get_collection_by_id(scope)
        return require_in_scope(scope, known)

    def _collection_to_write(self, scope: Scope) -> Collection:
        try:
            return write_path.known_collection(self._stores, self._reader.log_end(scope), scope)
        except NotFound:
            self._reader.evict(scope.collection)
            raise

    def _write(self, scope: Scope, batch: Batch, extra_writes: Sequence[Write] = ()) -> int | None:
        end = self._reader.log_end(scope)
        try:
            return write_path.write(self._stores, end, scope, [batch], extra_writes=extra_writes)
        except NotFound:
            self._reader.evict(scope.collection)
            raise
        finally:
            self._reader.trim()

    def _write_admitted(self, scope: Scope, restriction: Restriction, batch: Batch) -> int | None:
        def admit() -> tuple[LogPosition, Batch]:
            snapshot = self._reader.snapshot(scope, batch.ids)
            condition = restriction.filter_of(snapshot.collection.name)
            if condition is None:
                raise collections.not_found(scope.collection)
            return snapshot.log_position, admission.admit(snapshot, condition, batch)

        try:
            return write_path.write_admitted(self._stores, self._reader.log_end(scope), scope, admit)
        except NotFound:
            self._reader.evict(scope.collection)
            raise
        finally:
            self._reader.trim()

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
        write_path.notify_indexer(self._stores, collection_id, "dropped")
