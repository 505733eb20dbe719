"""Transactions for Chroma's Python clients of an Afterglow server, and for the embedded ones.

    txn = afterglow.transaction(collection)
    if not txn.get(ids="a")["ids"]:
        txn.add(ids="a", documents="first")
    txn.commit()

Reads are sent at once and see the snapshot of the first; writes are kept until `commit`, which sends all of them and
what was read. A read by filter is protected as a whole: the commit fails if any record written since would change its
result. Values are checked, embedded and returned as by the methods of the collection.

*A connection that breaks during the commit*: it is sent again with the same nonce, by which the server recognises that
it has it already.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypedDict, TypeVar, cast, overload
from urllib.parse import quote

import httpx
import orjson
from chromadb.api.async_fastapi import AsyncFastAPI
from chromadb.api.fastapi import FastAPI
from chromadb.api.models.AsyncCollection import AsyncCollection
from chromadb.api.models.Collection import Collection
from chromadb.api.models.CollectionCommon import CollectionCommon
from chromadb.api.types import GetResult, Include, deserialize_metadata, serialize_metadata
from chromadb.errors import ChromaError
from overrides import override

from afterglow.settings import System

T = TypeVar("T")

_ABORTS = frozenset({"ConditionalWriteConflictError", "StaleReadError", "Backoff"})
_SENDS = 3
"""How often a commit is sent, when the connection breaks."""


class CommitResult(TypedDict):
    """The log position of the transaction, None if it wrote nothing, and the number of records in its writes."""

    first_inserted_record_offset: int | None
    record_count: int


class TransactionAborted(ChromaError):
    """Nothing was written; run the transaction again. `reason` is the server's name of the error."""

    def __init__(self, reason: str, message: str, status: int) -> None:
        super().__init__(message)
        self.reason = reason
        self._status = status

    @override
    def code(self) -> int:
        """The status of the response."""
        return self._status

    @classmethod
    @override
    def name(cls) -> str:
        """The name of the class."""
        return "TransactionAborted"


class _Buffer:
    """What a transaction has read, and its writes."""

    def __init__(self, collection: CollectionCommon[Any]) -> None:
        self.collection = collection
        self.token: int | None = None
        self.is_closed = False
        self._read_ids: set[str] = set()
        self._filters: list[dict[str, Any]] = []
        self._written: set[str] = set()
        self._operations: list[dict[str, Any]] = []
        self._nonce = System().nonce()

    def read_request(self, limit: int | None, offset: int | None, include: Include, **selection: Any) -> dict[str, Any]:
        """The body of a read."""
        self._require_open()
        prepared = self.collection._validate_and_prepare_get_request(include=include, **selection)
        written = self._written.intersection(prepared["ids"] or ())
        if written:
            raise ValueError(f"the transaction has written {min(written)!r}: it cannot be read any more")
        fields = {name: prepared[name] for name in ("ids", "where", "where_document")}
        names = [name for name in prepared["include"] if name != "data"]
        return {**fields, "limit": limit, "offset": offset, "include": names, "read_token": self.token}

    def record_read(self, request: dict[str, Any], response: dict[str, Any], include: Include) -> GetResult:
        """Note what was read; the client's result."""
        self.token = response["read_token"]
        self._read_ids.update(response["ids"])
        if request["ids"] is None:
            self._filters.append({name: request[name] for name in ("where", "where_document")})
        else:
            self._read_ids.update(request["ids"])
        metadatas = response["metadatas"]
        if metadatas is not None:
            metadatas = [None if metadata is None else deserialize_metadata(metadata) for metadata in metadatas]
        result = GetResult(
            ids=response["ids"],
            embeddings=response["embeddings"],
            documents=response["documents"],
            uris=response["uris"],
            metadatas=metadatas,
            data=None,
            included=include,
        )
        return self.collection._transform_get_response(response=result, include=include)

    def write(self, operation: str, **fields: Any) -> None:
        """Keep an add, update or upsert."""
        self._require_open()
        prepare = getattr(self.collection, f"_validate_and_prepare_{operation}_request")
        payload = dict(prepare(**fields))
        if payload["metadatas"] is not None:
            payload["metadatas"] = [None if one is None else serialize_metadata(one) for one in payload["metadatas"]]
        self._keep(operation, payload)

    def delete(self, ids: Any, where: Any, where_document: Any, limit: int | None) -> None:
        """Keep a delete."""
        self._require_open()
        prepare = self.collection._validate_and_prepare_delete_request
        payload = dict(prepare(ids, where, where_document, limit=limit))
        if (where or where_document) and any(not _is_filtered(one) for one in self._operations):
            raise ValueError("a delete by filter must precede the other writes of its transaction")
        self._keep("delete", payload)

    def commit_request(self) -> dict[str, Any] | None:
        """The body of the commit, None if there is nothing to write; closes the transaction."""
        self._require_open()
        self.is_closed = True
        if not self._operations:
            return None
        reads: dict[str, Any] = {"read_token": self.token, "read_ids": sorted(self._read_ids)}
        if self.token is not None:
            reads |= {"read_filters": self._filters, "nonce": self._nonce}
        return {**reads, "operations": self._operations}

    def path(self, call: str) -> str:
        """The path of a call below that of the API."""
        collection = self.collection
        tenant, database = quote(collection.tenant, safe=""), quote(collection.database, safe="")
        return f"/tenants/{tenant}/databases/{database}/collections/{collection.id}/conditional/{call}"

    def _keep(self, operation: str, payload: dict[str, Any]) -> None:
        self._written.update(payload["ids"] or ())
        self._operations.append({"operation": operation, "payload": payload})

    def _require_open(self) -> None:
        if self.is_closed:
            raise ValueError("the transaction is closed")


class _Writes:
    """The calls that send nothing."""

    def __init__(self, collection: CollectionCommon[Any]) -> None:
        self._collection = collection
        self._buffer = _Buffer(collection)
        self._is_run = False

    def add(self, ids: Any, embeddings: Any = None, **fields: Any) -> None:
        """Add records at the commit; arguments as of the collection's `add`."""
        self._buffer.write("add", **_record_set(ids, embeddings, fields))

    def update(self, ids: Any, embeddings: Any = None, **fields: Any) -> None:
        """Update records at the commit; arguments as of the collection's `update`."""
        self._buffer.write("update", **_record_set(ids, embeddings, fields))

    def upsert(self, ids: Any, embeddings: Any = None, **fields: Any) -> None:
        """Upsert records at the commit; arguments as of the collection's `upsert`."""
        self._buffer.write("upsert", **_record_set(ids, embeddings, fields))

    def delete(self, ids: Any = None, where: Any = None, where_document: Any = None, limit: int | None = None) -> None:
        """Delete records at the commit; by filter, those that match then, and before all other writes."""
        self._buffer.delete(ids, where, where_document, limit)

    def _commit_request(self, *, in_run: bool) -> dict[str, Any] | None:
        if self._is_run and not in_run:
            raise ValueError("run() commits by itself")
        return self._buffer.commit_request()


class CollectionTransaction(_Writes):
    """A transaction of one collection, for one thread."""

    def __init__(self, collection: Collection) -> None:
        super().__init__(collection)
        self._server = cast(FastAPI, collection._client)

    def get(  # noqa: PLR0917 - chromadb's signature
        self,
        ids: Any = None,
        where: Any = None,
        limit: int | None = None,
        offset: int | None = None,
        where_document: Any = None,
        include: Include = ["metadatas", "documents"],  # noqa: B006 - as chromadb's
    ) -> GetResult:
        """As the collection's `get`, in the snapshot of the transaction. Raises TransactionAborted."""
        request = self._buffer.read_request(limit, offset, include, ids=ids, where=where, where_document=where_document)
        return self._buffer.record_read(request, self._send("get", request), include)

    def commit(self) -> CommitResult:
        """Write everything, or nothing. Raises TransactionAborted."""
        return self._commit(self._commit_request(in_run=False))

    def run(self, callback: Callable[["CollectionTransaction"], T], max_retries: int = 3) -> T:
        """Call `callback` with the transaction and commit; again with a new one, at most so often, if it is aborted.

        The result is that of the callback. Raises what the callback raises, and TransactionAborted.
        """
        transaction = self
        for left in range(_retries(max_retries), -1, -1):
            transaction._is_run = True
            try:
                result = callback(transaction)
                self._commit(transaction._commit_request(in_run=True))
            except TransactionAborted:
                if not left:
                    raise
                transaction = CollectionTransaction(cast(Collection, self._collection))
            else:
                return result
        raise AssertionError("unreachable")

    def _commit(self, request: dict[str, Any] | None) -> CommitResult:
        if request is None:
            return CommitResult(first_inserted_record_offset=None, record_count=0)
        for left in range(_sends(request), 0, -1):
            try:
                return cast(CommitResult, self._send("commit", request))
            except httpx.TransportError:
                if left == 1:
                    raise
        raise AssertionError("unreachable")

    def _send(self, call: str, body: dict[str, Any]) -> Any:
        server = self._server
        return _result(server._session.post(server._api_url + self._buffer.path(call), content=_encode(body)))


class AsyncCollectionTransaction(_Writes):
    """The same for Chroma's asynchronous clients: `get`, `commit` and `run` are awaited."""

    def __init__(self, collection: AsyncCollection) -> None:
        super().__init__(collection)
        self._server = cast(AsyncFastAPI, collection._client)

    async def get(  # noqa: PLR0917 - chromadb's signature
        self,
        ids: Any = None,
        where: Any = None,
        limit: int | None = None,
        offset: int | None = None,
        where_document: Any = None,
        include: Include = ["metadatas", "documents"],  # noqa: B006 - as chromadb's
    ) -> GetResult:
        """As the collection's `get`, in the snapshot of the transaction. Raises TransactionAborted."""
        request = self._buffer.read_request(limit, offset, include, ids=ids, where=where, where_document=where_document)
        return self._buffer.record_read(request, await self._send("get", request), include)

    async def commit(self) -> CommitResult:
        """Write everything, or nothing. Raises TransactionAborted."""
        return await self._commit(self._commit_request(in_run=False))

    async def run(self, callback: Callable[["AsyncCollectionTransaction"], Awaitable[T]], max_retries: int = 3) -> T:
        """Await `callback` with the transaction and commit; again with a new one, at most so often, if it is aborted.

        The result is that of the callback. Raises what the callback raises, and TransactionAborted.
        """
        transaction = self
        for left in range(_retries(max_retries), -1, -1):
            transaction._is_run = True
            try:
                result = await callback(transaction)
                await self._commit(transaction._commit_request(in_run=True))
            except TransactionAborted:
                if not left:
                    raise
                transaction = AsyncCollectionTransaction(cast(AsyncCollection, self._collection))
            else:
                return result
        raise AssertionError("unreachable")

    async def _commit(self, request: dict[str, Any] | None) -> CommitResult:
        if request is None:
            return CommitResult(first_inserted_record_offset=None, record_count=0)
        for left in range(_sends(request), 0, -1):
            try:
                return cast(CommitResult, await self._send("commit", request))
            except httpx.TransportError:
                if left == 1:
                    raise
        raise AssertionError("unreachable")

    async def _send(self, call: str, body: dict[str, Any]) -> Any:
        server = self._server
        url = server._api_url + self._buffer.path(call)
        return _result(await server._get_client().post(url, content=_encode(body)))


@overload
def transaction(collection: Collection) -> CollectionTransaction: ...
@overload
def transaction(collection: AsyncCollection) -> AsyncCollectionTransaction: ...
def transaction(collection: Collection | AsyncCollection) -> CollectionTransaction | AsyncCollectionTransaction:
    """A transaction of a collection, of a client of an Afterglow server or of an embedded client.

    Raises TypeError for a collection of a client that has no server.
    """
    server = collection._client
    if isinstance(collection, AsyncCollection) and isinstance(server, AsyncFastAPI):
        return AsyncCollectionTransaction(collection)
    if isinstance(collection, Collection) and isinstance(server, FastAPI):
        return CollectionTransaction(collection)
    raise TypeError("a transaction needs a collection of an HTTP client, or of one of afterglow's clients")


def _record_set(ids: Any, embeddings: Any, fields: dict[str, Any]) -> dict[str, Any]:
    unknown = fields.keys() - {"metadatas", "documents", "images", "uris"}
    if unknown:
        raise TypeError(f"unexpected argument {min(unknown)!r}")
    columns = {name: fields.get(name) for name in ("metadatas", "documents", "images", "uris")}
    return {"ids": ids, "embeddings": embeddings, **columns}


def _is_filtered(operation: dict[str, Any]) -> bool:
    payload = operation["payload"]
    return operation["operation"] == "delete" and bool(payload["where"] or payload["where_document"])


def _retries(max_retries: int) -> int:
    if max_retries < 0:
        raise ValueError("max_retries must not be negative")
    return max_retries


def _sends(request: dict[str, Any]) -> int:
    """How often a commit may be sent: without a nonce, the server would not recognise it."""
    return _SENDS if "nonce" in request else 1


def _encode(body: dict[str, Any]) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _result(response: httpx.Response) -> Any:
    """The body of a response. Raises TransactionAborted, and otherwise what the client raises."""
    if response.status_code in (409, 412, 429):
        error = orjson.loads(response.content)
        if error.get("error") in _ABORTS:
            raise TransactionAborted(error["error"], error["message"], response.status_code)
    FastAPI._raise_chroma_error(response)
    return orjson.loads(response.content)
