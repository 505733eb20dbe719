"""A server over HTTP as a side of a move: this one, or a genuine Chroma."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.bulk.chroma_client import ChromaConnection
from afterglow.bulk.endpoint import ALL_FIELDS, CollectionInfo, RecordStream, create_request, slice_records
from afterglow.collection.types import Include, Records
from afterglow.errors import AlreadyExists, NotFound, TooLarge

_TENANTS = "/api/v2/tenants"
_DEFAULT_TENANT = "default_tenant"
_ROWS = 1_000
_PAGE = 4_096
_NAMES = 1_000


class HttpEndpoint:
    """A side over a connection. It must be told of tenants other than the default one: the wire cannot list them."""

    def __init__(self, connection: ChromaConnection, tenants: Sequence[str] = (_DEFAULT_TENANT,)) -> None:
        """Raises Unavailable, and what the server refuses."""
        self._connection = connection
        self._tenants = list(tenants)
        limits = connection.call("GET", "/api/v2/pre-flight-checks")
        self.max_rows = min(int(limits["max_batch_size"]), _ROWS)
        self._page = _PAGE
        self._takes_base64 = bool(limits.get("supports_base64_encoding"))

    def tenants(self) -> list[str]:
        """Those told of."""
        return self._tenants

    def databases(self, tenant: str) -> list[str]:
        """The tenant's databases, by name."""
        return sorted(each["name"] for each in self._listed(f"{_tenant(tenant)}/databases"))

    def collections(self, tenant: str, database: str) -> list[CollectionInfo]:
        """The database's collections, by name."""
        found = self._listed(f"{_database(tenant, database)}/collections")
        return sorted((_described(each, tenant, database) for each in found), key=lambda each: each.name)

    def find(self, tenant: str, database: str, name: str) -> CollectionInfo | None:
        """The collection of this name."""
        try:
            path = f"{_database(tenant, database)}/collections/{quote(name, safe='')}"
            found = _described(self._connection.call("GET", path), tenant, database)
        except NotFound:
            return None
        return found if found.name == name else None

    def count(self, of: CollectionInfo) -> int:
        """How many records it has."""
        return int(self._connection.call("GET", f"{_path(of)}/count"))

    def read(self, of: CollectionInfo, include: frozenset[Include] = ALL_FIELDS, offset: int = 0) -> RecordStream:
        """Its records, each page of them as it is when it is asked for."""
        return RecordStream(max(self.count(of) - offset, 0), self._pages(of, include, offset))

    def get(self, of: CollectionInfo, ids: Sequence[str]) -> Records:
        """Those of these records that there are."""
        return self._got(of, {"ids": list(ids)}, ALL_FIELDS)

    def create_database(self, tenant: str, database: str) -> None:
        """Make the tenant and the database, where they are missing."""
        self._make_missing(_tenant(tenant), _TENANTS, tenant)
        self._make_missing(_database(tenant, database), f"{_tenant(tenant)}/databases", database)

    def create_collection(self, like: CollectionInfo) -> CollectionInfo:
        """Make a collection like this one."""
        body = {"name": like.name, "metadata": like.metadata, **create_request(like)}
        made = self._connection.call("POST", f"{_database(like.tenant, like.database)}/collections", body)
        return _described(made, like.tenant, like.database)

    def add(self, to: CollectionInfo, records: Records) -> None:
        """Add records; in smaller requests where one would be too large."""
        assert records.embeddings is not None
        body = {
            "ids": records.ids,
            "embeddings": _in_base64(records.embeddings) if self._takes_base64 else records.embeddings,
            "documents": records.documents,
            "metadatas": _fragments(records.metadatas),
            "uris": records.uris,
        }
        try:
            self._connection.call("POST", f"{_path(to)}/add", body)
        except TooLarge:
            half = len(records.ids) // 2
            if not half:
                raise
            self.add(to, slice_records(records, 0, half))
            self.add(to, slice_records(records, half, len(records.ids)))

    def _pages(self, of: CollectionInfo, include: frozenset[Include], offset: int) -> Iterator[Records]:
        while True:
            try:
                page = self._got(of, {"limit": self._page, "offset": offset}, include)
            except TooLarge:
                if self._page == 1:
                    raise
                self._page //= 2
                continue
            if not page.ids:
                return
            yield page
            offset += len(page.ids)

    def _got(self, of: CollectionInfo, which: Mapping[str, Any], include: frozenset[Include]) -> Records:
        found = self._connection.call("POST", f"{_path(of)}/get", {**which, "include": sorted(include)})
        embeddings, metadatas = found.get("embeddings"), found.get("metadatas")
        return Records(
            ids=found["ids"],
            embeddings=None if embeddings is None else np.array(embeddings, dtype=np.float32),
            documents=found.get("documents"),
            metadatas=None if metadatas is None else [each and orjson.dumps(each) for each in metadatas],
            uris=found.get("uris"),
        )

    def _listed(self, path: str) -> Iterator[Any]:
        offset = 0
        while found := self._connection.call("GET", f"{path}?limit={_NAMES}&offset={offset}"):
            yield from found
            offset += len(found)

    def _make_missing(self, one: str, all_of_them: str, name: str) -> None:
        try:
            self._connection.call("GET", one)
        except NotFound:
            try:
                self._connection.call("POST", all_of_them, {"name": name})
            except AlreadyExists:
                pass  # a first attempt whose answer was lost, or somebody else


def _tenant(tenant: str) -> str:
    return f"{_TENANTS}/{quote(tenant, safe='')}"


def _database(tenant: str, database: str) -> str:
    return f"{_tenant(tenant)}/databases/{quote(database, safe='')}"


def _path(of: CollectionInfo) -> str:
    return f"{_database(of.tenant, of.database)}/collections/{of.id}"


def _described(found: Mapping[str, Any], tenant: str, database: str) -> CollectionInfo:
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


def _in_base64(embeddings: NDArray[np.float32]) -> list[str]:
    rows = np.ascontiguousarray(embeddings, dtype="<f4")
    return [base64.b64encode(row.data).decode() for row in rows]


def _fragments(metadatas: list[bytes | None] | None) -> list[orjson.Fragment | None] | None:
    return None if metadatas is None else [None if each is None else orjson.Fragment(each) for each in metadatas]
