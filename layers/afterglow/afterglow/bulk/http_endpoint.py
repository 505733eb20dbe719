"""An endpoint over HTTP: this server or Chroma."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.bulk.endpoint import ALL_FIELDS, Changes, CollectionInfo, Hit, RecordStream, create_request
from afterglow.bulk.http_connection import HttpConnection
from afterglow.collection.types import Include, Records
from afterglow.errors import AlreadyExists, NotFound, TooLarge, Unimplemented

_TENANTS = "/api/v2/tenants"
_DEFAULT_TENANT = "default_tenant"
_ROWS = 1_000
_PAGE = 4_096
_NAMES = 1_000


class HttpEndpoint:
    """An endpoint over a connection. `tenants` must name all but the default one: the API cannot list them."""

    def __init__(self, connection: HttpConnection, tenants: Sequence[str] = (_DEFAULT_TENANT,)) -> None:
        """Raises Unavailable, and the errors of the server."""
        self._connection = connection
        self._tenants = list(tenants)
        limits = connection.call("GET", "/api/v2/pre-flight-checks")
        self.max_rows = min(int(limits["max_batch_size"]), _ROWS)
        self._page = _PAGE
        self._takes_base64 = bool(limits.get("supports_base64_encoding"))

    def tenants(self) -> list[str]:
        """The tenants of the constructor."""
        return self._tenants

    def databases(self, tenant: str) -> list[str]:
        """The tenant's databases, by name."""
        return sorted(item["name"] for item in self._list(f"{_tenant(tenant)}/databases"))

    def collections(self, tenant: str, database: str) -> list[CollectionInfo]:
        """The database's collections, by name."""
        items = self._list(f"{_database(tenant, database)}/collections")
        return sorted((_describe(item, tenant, database) for item in items), key=lambda info: info.name)

    def find(self, tenant: str, database: str, name: str) -> CollectionInfo | None:
        """The collection with this name, None if there is none."""
        try:
            path = f"{_database(tenant, database)}/collections/{quote(name, safe='')}"
            found = _describe(self._connection.call("GET", path), tenant, database)
        except NotFound:
            return None
        return found if found.name == name else None

    def count(self, collection: CollectionInfo) -> int:
        """The number of its records."""
        return int(self._connection.call("GET", f"{_path(collection)}/count"))

    def read(
        self, collection: CollectionInfo, include: frozenset[Include] = ALL_FIELDS, offset: int = 0
    ) -> RecordStream:
        """Its records, each page at the time of its own request."""
        return RecordStream(max(self.count(collection) - offset, 0), self._pages(collection, include, offset))

    def get(self, collection: CollectionInfo, ids: Sequence[str]) -> Records:
        """The existing ones of these records."""
        return self._get_records(collection, {"ids": list(ids)}, ALL_FIELDS)

    def unindexed(self, collection: CollectionInfo) -> int:
        """The number of its operations that no segment holds yet."""
        return int(self._connection.call("GET", f"{_path(collection)}/indexing_status")["num_unindexed_ops"])

    def nearest(
        self, collection: CollectionInfo, query: Sequence[float] | str, k: int, where: Mapping[str, Any] | None
    ) -> list[Hit]:
        """Its `k` records nearest to a vector or to a text that match the filter, nearest first."""
        queries = {"query_texts": [query]} if isinstance(query, str) else {"query_embeddings": [list(query)]}
        body = {**queries, "n_results": k, "include": ["documents", "distances"]}
        found = self._connection.call(
            "POST", f"{_path(collection)}/query", body | ({} if where is None else {"where": where})
        )
        return list(map(Hit, found["ids"][0], found["distances"][0], found["documents"][0]))

    def position(self, collection: CollectionInfo) -> int:
        """The position of its last log entry. Raises Unimplemented for a server without positions."""
        text = self._connection.exchange("GET", f"{_path(collection)}/count").headers.get("afterglow-log-position")
        if text is None:
            raise Unimplemented(f"{self._connection.url} has no log positions: it is not an Afterglow server")
        return int(text)

    def changes(self, collection: CollectionInfo, after: str, limit: int, wait_seconds: int = 0) -> Changes:
        """At most `limit` lines of its changes after a position; the server waits if there are none yet."""
        path = f"{_path(collection)}/changes?after={quote(after)}&limit={limit}&wait={wait_seconds}"
        response = self._connection.exchange("GET", path)
        return Changes(response.content.splitlines(), response.headers["afterglow-next-position"])

    def delete(self, collection: CollectionInfo) -> None:
        """Delete the collection."""
        self._connection.call(
            "DELETE",
            f"{_database(collection.tenant, collection.database)}/collections/{quote(collection.name, safe='')}",
        )

    def create_database(self, tenant: str, database: str) -> None:
        """Create the tenant and the database if they do not exist."""
        self._create_missing(_tenant(tenant), _TENANTS, tenant)
        self._create_missing(_database(tenant, database), f"{_tenant(tenant)}/databases", database)

    def create_collection(self, like: CollectionInfo) -> CollectionInfo:
        """Create a collection like this one."""
        body = {"name": like.name, "metadata": like.metadata, **create_request(like)}
        created = self._connection.call("POST", f"{_database(like.tenant, like.database)}/collections", body)
        return _describe(created, like.tenant, like.database)

    def add(self, collection: CollectionInfo, records: Records) -> None:
        """Add records; in smaller requests if the server refuses the size of one."""
        assert records.embeddings is not None
        body = {
            "ids": records.ids,
            "embeddings": _to_base64(records.embeddings) if self._takes_base64 else records.embeddings,
            "documents": records.documents,
            "metadatas": _fragments(records.metadatas),
            "uris": records.uris,
        }
        try:
            self._connection.call("POST", f"{_path(collection)}/add", body)
        except TooLarge:
            half = len(records.ids) // 2
            if not half:
                raise
            self.add(collection, records.slice(0, half))
            self.add(collection, records.slice(half, len(records.ids)))

    def _pages(self, collection: CollectionInfo, include: frozenset[Include], offset: int) -> Iterator[Records]:
        while True:
            try:
                page = self._get_records(collection, {"limit": self._page, "offset": offset}, include)
            except TooLarge:
                if self._page == 1:
                    raise
                self._page //= 2
                continue
            if not page.ids:
                return
            yield page
            offset += len(page.ids)

    def _get_records(
        self, collection: CollectionInfo, which: Mapping[str, Any], include: frozenset[Include]
    ) -> Records:
        found = self._connection.call("POST", f"{_path(collection)}/get", {**which, "include": sorted(include)})
        embeddings, metadatas = found.get("embeddings"), found.get("metadatas")
        return Records(
            ids=found["ids"],
            embeddings=None if embeddings is None else np.array(embeddings, dtype=np.float32),
            documents=found.get("documents"),
            metadatas=None if metadatas is None else [value and orjson.dumps(value) for value in metadatas],
            uris=found.get("uris"),
        )

    def _list(self, path: str) -> Iterator[Any]:
        offset = 0
        while found := self._connection.call("GET", f"{path}?limit={_NAMES}&offset={offset}"):
            yield from found
            offset += len(found)

    def _create_missing(self, one: str, all_of_them: str, name: str) -> None:
        try:
            self._connection.call("GET", one)
        except NotFound:
            try:
                self._connection.call("POST", all_of_them, {"name": name})
            except AlreadyExists:
                pass  # an earlier attempt whose response was lost, or another client


def _tenant(tenant: str) -> str:
    return f"{_TENANTS}/{quote(tenant, safe='')}"


def _database(tenant: str, database: str) -> str:
    return f"{_tenant(tenant)}/databases/{quote(database, safe='')}"


def _path(collection: CollectionInfo) -> str:
    return f"{_database(collection.tenant, collection.database)}/collections/{collection.id}"


def _describe(found: Mapping[str, Any], tenant: str, database: str) -> CollectionInfo:
    return CollectionInfo(
        id=found["id"],
        tenant=tenant,
        database=database,
        name=found["name"],
        configuration=found.get("configuration_json") or {},
        schema=found.get("schema"),
        metadata=found.get("metadata"),
        dimension=found.get("dimension"),
    )


def _to_base64(embeddings: NDArray[np.float32]) -> list[str]:
    rows = np.ascontiguousarray(embeddings, dtype="<f4")
    return [base64.b64encode(row.data).decode() for row in rows]


def _fragments(metadatas: list[bytes | None] | None) -> list[orjson.Fragment | None] | None:
    return None if metadatas is None else [None if value is None else orjson.Fragment(value) for value in metadatas]
