"""An endpoint over the stores of a directory or an account; its servers may run at the same time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.bulk.endpoint import ALL_FIELDS, Changes, CollectionInfo, Hit, RecordStream, create_request
from afterglow.catalog import Collection, schema
from afterglow.collection import Batch, Engine, Op
from afterglow.collection.changes import position as positions
from afterglow.collection.read import rows as fetch
from afterglow.collection.read import rows as select
from afterglow.collection.replica.replica import Replica
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Include, Records, Scope, Selection
from afterglow.errors import AlreadyExists, Busy, NotFound
from afterglow.filters.parse import parse_where
from afterglow.settings import System
from afterglow.storage import file_map
from afterglow.storage.ports import Stores

_PAGE_ROWS = 4_096
_ATTEMPTS = 600
_POLL_SECONDS = 0.25
_CHANGES_BYTES = 8 * 1024 * 1024


class LocalEndpoint:
    """An endpoint over the stores; writes go through the engine."""

    max_rows = _PAGE_ROWS

    def __init__(self, stores: Stores, engine: Engine) -> None:
        self._stores = stores
        self._engine = engine
        self._written: dict[str, CollectionInfo] = {}

    def tenants(self) -> list[str]:
        """Every tenant."""
        return self._engine.catalog.list_tenants()

    def databases(self, tenant: str) -> list[str]:
        """The tenant's databases, by name."""
        return [database.name for database in self._engine.catalog.list_databases(tenant)]

    def collections(self, tenant: str, database: str) -> list[CollectionInfo]:
        """The database's collections, by name."""
        collections = self._engine.list_collections(tenant, database)
        return sorted(map(_describe, collections), key=lambda info: info.name)

    def find(self, tenant: str, database: str, name: str) -> CollectionInfo | None:
        """The collection with this name, None if there is none."""
        try:
            return _describe(self._engine.get_collection(tenant, database, name))
        except NotFound:
            return None

    def count(self, collection: CollectionInfo) -> int:
        """The number of its records."""
        return self._engine.count(_scope(collection)).count

    def read(
        self, collection: CollectionInfo, include: frozenset[Include] = ALL_FIELDS, offset: int = 0
    ) -> RecordStream:
        """Its records at one point in time: the time of this call."""
        snapshot = Replica(self._stores, UUID(collection.id)).snapshot(scope=_scope(collection))
        groups, rows = select.in_insertion_order(snapshot, select.selection_masks(snapshot, Selection()), offset)
        return RecordStream(len(rows), _pages(snapshot, groups, rows, include))

    def get(self, collection: CollectionInfo, ids: Sequence[str]) -> Records:
        """The existing ones of these records."""
        return self._engine.get(_scope(collection), Selection(ids=ids), None, 0, ALL_FIELDS)

    def unindexed(self, collection: CollectionInfo) -> int:
        """The number of its operations that no segment holds yet."""
        status = self._engine.indexing_status(_scope(collection))
        return status.total_ops - status.indexed_ops

    def nearest(
        self, collection: CollectionInfo, query: Sequence[float] | str, k: int, where: Mapping[str, Any] | None
    ) -> list[Hit]:
        """Its `k` records nearest to a vector or to a text that match the filter, nearest first."""
        selection = Selection(where=parse_where(where))
        queries = [query] if isinstance(query, str) else np.array([query], dtype=np.float32)
        [found] = self._engine.query(_scope(collection), queries, k, selection, frozenset({Include.DOCUMENTS}))
        documents = found.records.documents or [None] * len(found.records.ids)
        return list(map(Hit, found.records.ids, found.distances.tolist(), documents))

    def position(self, collection: CollectionInfo) -> int:
        """The position of its last log entry."""
        return self._engine.count(_scope(collection)).position or 0

    def changes(self, collection: CollectionInfo, after: str, limit: int, wait_seconds: int = 0) -> Changes:
        """At most `limit` lines of its changes after a position; waits once if there are none yet."""
        page = self._engine.changes(_scope(collection), positions.parse(after), limit, _CHANGES_BYTES)
        if not page.lines and wait_seconds:
            self._stores.system.sleep(min(_POLL_SECONDS, wait_seconds))
        return Changes([line.content for line in page.lines], str(page.next))

    def delete(self, collection: CollectionInfo) -> None:
        """Delete the collection."""
        self._engine.delete_collection(collection.tenant, collection.database, collection.name)

    def create_database(self, tenant: str, database: str) -> None:
        """Create the tenant and the database if they do not exist."""
        catalog = self._engine.catalog
        if tenant not in catalog.list_tenants():
            _ignore_existing(lambda: catalog.create_tenant(tenant))
        if catalog.find_database(tenant, database) is None:
            _ignore_existing(lambda: catalog.create_database(tenant, database))

    def create_collection(self, like: CollectionInfo) -> CollectionInfo:
        """Create a collection like this one."""
        request = create_request(like)
        stored = schema.reconcile(request.get("configuration"), request.get("schema"), like.metadata)
        return _describe(self._engine.create_collection(like.tenant, like.database, like.name, like.metadata, stored))

    def add(self, collection: CollectionInfo, records: Records) -> None:
        """Add records; waits while the indexer is behind."""
        batch = Batch(
            Op.ADD,
            records.ids,
            vectors=records.embeddings,
            documents=records.documents,
            metadatas=None if records.metadatas is None else list(map(_metadata, records.metadatas)),
            uris=records.uris,
        )
        self._written[collection.id] = collection
        _write_when_not_busy(lambda: self._engine.write(_scope(collection), batch), self._stores.system)

    def wait_until_indexed(self) -> None:
        """Wait until all added records are indexed, by any indexer. Raises Unavailable."""
        for collection in self._written.values():
            self._engine.wait_until_indexed(_scope(collection))


def _describe(collection: Collection) -> CollectionInfo:
    """The collection as the API describes it."""
    return CollectionInfo(
        id=str(collection.id),
        tenant=collection.tenant,
        database=collection.database,
        name=collection.name,
        configuration=schema.configuration_json(collection.schema),
        schema=collection.schema,
        metadata=collection.metadata,
        dimension=collection.dimension,
    )


def _scope(collection: CollectionInfo) -> Scope:
    return Scope(collection.tenant, collection.database, UUID(collection.id))


def _pages(
    snapshot: Snapshot, groups: NDArray[np.int64], rows: NDArray[np.int64], include: frozenset[Include]
) -> Iterator[Records]:
    for start in range(0, len(rows), _PAGE_ROWS):
        page = slice(start, start + _PAGE_ROWS)
        yield fetch.materialize(snapshot, groups[page], rows[page], include)
        # Copied pages are not needed again; otherwise the whole collection would end up in memory.
        for subset in snapshot.row_groups:
            for array in (
                subset.rows.vectors,
                subset.rows.documents.data,
                subset.rows.metadatas.data,
                subset.rows.uris.data,
            ):
                file_map.release_pages(array)


def _metadata(stored: bytes | None) -> dict[str, Any] | None:
    return None if stored is None else orjson.loads(stored)


def _ignore_existing(make: Callable[[], object]) -> None:
    with suppress(AlreadyExists):
        make()


def _write_when_not_busy(write: Callable[[], object], system: System) -> None:
    for _ in range(_ATTEMPTS):
        try:
            write()
        except Busy as error:
            system.sleep(error.retry_after)
        else:
            return
    write()
