"""Transactions for Chroma's Python clients of an Afterglow server, and for the embedded ones.

    txn = afterglow.transaction(collection)
    if not txn.get(ids="a")["ids"]:
        txn.add(ids="a", documents="first")
    txn.commit()

Reads are sent at once and see the snapshot of the first; writes are kept until `commit`, which sends all of them and
what was read. A read by filter, a query and a search are protected as a whole: the commit fails if any record written
since would change the result. Values are checked, embedded and returned as by the methods of the collection.

*A connection that breaks during the commit*: it is sent again with the same nonce, by which the server recognises that
it has it already.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast, overload

import httpx
from chromadb.api.async_fastapi import AsyncFastAPI
from chromadb.api.fastapi import FastAPI
from chromadb.api.models.AsyncCollection import AsyncCollection
from chromadb.api.models.Collection import Collection
from chromadb.api.models.CollectionCommon import CollectionCommon
from chromadb.api.types import GetResult, Include, QueryResult, SearchResult

from afterglow.embedded.transaction_buffer import Buffer, CommitResult, TransactionAborted, encode, result_of, sends

T = TypeVar("T")


class _Writes:
    """The calls that send nothing."""

    def __init__(self, collection: CollectionCommon[Any]) -> None:
        self._collection = collection
        self._buffer = Buffer(collection)
        self._is_run = False
        self._is_part = False

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
        if self._is_part:
            raise ValueError("the transaction of several collections commits its parts")
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

    def query(  # noqa: PLR0917 - chromadb's signature
        self,
        query_embeddings: Any = None,
        query_texts: Any = None,
        query_images: Any = None,
        query_uris: Any = None,
        ids: Any = None,
        n_results: int = 10,
        where: Any = None,
        where_document: Any = None,
        include: Include = ["metadatas", "documents", "distances"],  # noqa: B006 - as chromadb's
        *,
        within: float | None = None,
        exact: bool = False,
    ) -> QueryResult:
        """As the collection's `query`, in the snapshot of the transaction. Raises TransactionAborted.

        Later writes of records farther than the last result, or than `within`, do not conflict. With `exact`, the
        vectors are compared with every record.
        """
        request = self._buffer.query_request(
            query_embeddings,
            query_texts,
            query_images,
            query_uris,
            include,
            ids=ids,
            n_results=n_results,
            where=where,
            where_document=where_document,
            within=within,
            exact=exact,
        )
        return self._buffer.record_query(self._send("query", request), include)

    def search(self, searches: Any, *, exact: bool = False) -> SearchResult:
        """As the collection's `search`, in the snapshot of the transaction. Raises TransactionAborted.

        A search ranked by one vector is protected like a query, any other one as a read by its filter.
        """
        return self._buffer.record_search(self._send("search", self._buffer.search_request(searches, exact=exact)))

    def commit(self) -> CommitResult:
        """Write everything, or nothing. Raises TransactionAborted."""
        return self._commit(self._commit_request(in_run=False))

    def run(self, callback: Callable[["CollectionTransaction"], T], max_retries: int = 3) -> T:
        """Call `callback` with the transaction and commit; again with a new one, at most so often, if it is aborted.

        The result is that of the callback. Raises what the callback raises, and TransactionAborted.
        """
        transaction = self
        for left in range(retries(max_retries), -1, -1):
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
        for left in range(sends(request), 0, -1):
            try:
                return cast(CommitResult, self._send("commit", request))
            except httpx.TransportError:
                if left == 1:
                    raise
        raise AssertionError("unreachable")

    def _send(self, call: str, body: dict[str, Any]) -> Any:
        server = self._server
        return result_of(server._session.post(server._api_url + self._buffer.path(call), content=encode(body)))


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

    async def query(  # noqa: PLR0917 - chromadb's signature
        self,
        query_embeddings: Any = None,
        query_texts: Any = None,
        query_images: Any = None,
        query_uris: Any = None,
        ids: Any = None,
        n_results: int = 10,
        where: Any = None,
        where_document: Any = None,
        include: Include = ["metadatas", "documents", "distances"],  # noqa: B006 - as chromadb's
        *,
        within: float | None = None,
        exact: bool = False,
    ) -> QueryResult:
        """As `CollectionTransaction.query`."""
        request = self._buffer.query_request(
            query_embeddings,
            query_texts,
            query_images,
            query_uris,
            include,
            ids=ids,
            n_results=n_results,
            where=where,
            where_document=where_document,
            within=within,
            exact=exact,
        )
        return self._buffer.record_query(await self._send("query", request), include)

    async def search(self, searches: Any, *, exact: bool = False) -> SearchResult:
        """As `CollectionTransaction.search`."""
        request = self._buffer.search_request(searches, exact=exact)
        return self._buffer.record_search(await self._send("search", request))

    async def commit(self) -> CommitResult:
        """Write everything, or nothing. Raises TransactionAborted."""
        return await self._commit(self._commit_request(in_run=False))

    async def run(self, callback: Callable[["AsyncCollectionTransaction"], Awaitable[T]], max_retries: int = 3) -> T:
        """Await `callback` with the transaction and commit; again with a new one, at most so often, if it is aborted.

        The result is that of the callback. Raises what the callback raises, and TransactionAborted.
        """
        transaction = self
        for left in range(retries(max_retries), -1, -1):
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
        for left in range(sends(request), 0, -1):
            try:
                return cast(CommitResult, await self._send("commit", request))
            except httpx.TransportError:
                if left == 1:
                    raise
        raise AssertionError("unreachable")

    async def _send(self, call: str, body: dict[str, Any]) -> Any:
        server = self._server
        url = server._api_url + self._buffer.path(call)
        return result_of(await server._get_client().post(url, content=encode(body)))


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


def retries(max_retries: int) -> int:
    """The argument, which must not be negative."""
    if max_retries < 0:
        raise ValueError("max_retries must not be negative")
    return max_retries
