"""Transactions of several collections of one database, for the clients of `afterglow.transaction`.

    txn = afterglow.joint_transaction(orders, stock)
    left = txn[stock].get(ids="tea")["metadatas"][0]["left"]
    txn[stock].update(ids="tea", metadatas={"left": left - 1})
    txn[orders].add(ids="1", documents="tea")
    txn.commit()

The part of each collection has its own snapshot; the commit succeeds only if what was read in all of them is still
true, and then writes in all of them. A part that has read nothing gets its token before the commit, so that a lost
answer can be recognised by the nonce.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast, overload

import httpx
from chromadb.api.models.AsyncCollection import AsyncCollection
from chromadb.api.models.Collection import Collection

from afterglow.embedded.transaction_buffer import CommitResult, TransactionAborted, encode, result_of, sends
from afterglow.embedded.transactions import AsyncCollectionTransaction, CollectionTransaction, retries, transaction
from afterglow.settings import System

T = TypeVar("T")
P = TypeVar("P", bound=CollectionTransaction | AsyncCollectionTransaction)

_TOKEN_REQUEST: Mapping[str, Any] = {"limit": 0, "include": [], "read_token": None}


class _Parts(Generic[P]):
    """The parts of the collections."""

    def __init__(self, parts: Sequence[P]) -> None:
        self._parts = {part._collection.id: part for part in parts}
        self._nonce = System().nonce()
        self._is_run = False
        places = {(id(part._server), part._buffer.database_path) for part in parts}
        if len(self._parts) < len(parts) or len(places) != 1:
            raise ValueError("a joint transaction needs different collections of one client and one database")
        for part in parts:
            part._is_part = True

    def __getitem__(self, collection: Collection | AsyncCollection) -> P:
        """The part of a collection. Raises KeyError."""
        return self._parts[collection.id]

    @property
    def _blind(self) -> list[P]:
        return [part for part in self._parts.values() if part._buffer.is_blind]

    def _request(self, *, in_run: bool) -> dict[str, Any] | None:
        if self._is_run and not in_run:
            raise ValueError("run() commits by itself")
        requests = [part._buffer.joint_request() for part in self._parts.values()]
        parts = [request for request in requests if request is not None]
        return {"collections": parts, "nonce": self._nonce} if parts else None

    def _path(self) -> str:
        return f"{next(iter(self._parts.values()))._buffer.database_path}/conditional/commit"


class JointTransaction(_Parts[CollectionTransaction]):
    """A transaction of several collections, for one thread; `txn[collection]` has the calls of a transaction."""

    def __init__(self, collections: Sequence[Collection]) -> None:
        super().__init__([transaction(collection) for collection in collections])

    def commit(self) -> dict[str, CommitResult]:
        """Write everything in all collections, or nothing; by their names. Raises TransactionAborted."""
        return self._commit(in_run=False)

    def run(self, callback: Callable[["JointTransaction"], T], max_retries: int = 3) -> T:
        """As `run` of a transaction of one collection."""
        joint = self
        for left in range(retries(max_retries), -1, -1):
            joint._is_run = True
            try:
                result = callback(joint)
                joint._commit(in_run=True)
            except TransactionAborted:
                if not left:
                    raise
                joint = JointTransaction([cast(Collection, part._collection) for part in self._parts.values()])
            else:
                return result
        raise AssertionError("unreachable")

    def _commit(self, *, in_run: bool) -> dict[str, CommitResult]:
        for part in self._blind:
            part._buffer.token = part._send("get", dict(_TOKEN_REQUEST))["read_token"]
        request = self._request(in_run=in_run)
        if request is None:
            return {}
        for left in range(sends(request), 0, -1):
            try:
                return _by_name(self._parts, self._send(request))
            except httpx.TransportError:
                if left == 1:
                    raise
        raise AssertionError("unreachable")

    def _send(self, request: dict[str, Any]) -> Any:
        server = next(iter(self._parts.values()))._server
        return result_of(server._session.post(server._api_url + self._path(), content=encode(request)))


class AsyncJointTransaction(_Parts[AsyncCollectionTransaction]):
    """The same for Chroma's asynchronous clients: `commit` and `run` are awaited."""

    def __init__(self, collections: Sequence[AsyncCollection]) -> None:
        super().__init__([transaction(collection) for collection in collections])

    async def commit(self) -> dict[str, CommitResult]:
        """Write everything in all collections, or nothing; by their names. Raises TransactionAborted."""
        return await self._commit(in_run=False)

    async def run(self, callback: Callable[["AsyncJointTransaction"], Awaitable[T]], max_retries: int = 3) -> T:
        """As `run` of a transaction of one collection."""
        joint = self
        for left in range(retries(max_retries), -1, -1):
            joint._is_run = True
            try:
                result = await callback(joint)
                await joint._commit(in_run=True)
            except TransactionAborted:
                if not left:
                    raise
                joint = AsyncJointTransaction(
                    [cast(AsyncCollection, part._collection) for part in self._parts.values()]
                )
            else:
                return result
        raise AssertionError("unreachable")

    async def _commit(self, *, in_run: bool) -> dict[str, CommitResult]:
        for part in self._blind:
            part._buffer.token = (await part._send("get", dict(_TOKEN_REQUEST)))["read_token"]
        request = self._request(in_run=in_run)
        if request is None:
            return {}
        for left in range(sends(request), 0, -1):
            try:
                return _by_name(self._parts, await self._send(request))
            except httpx.TransportError:
                if left == 1:
                    raise
        raise AssertionError("unreachable")

    async def _send(self, request: dict[str, Any]) -> Any:
        server = next(iter(self._parts.values()))._server
        url = server._api_url + self._path()
        return result_of(await server._get_client().post(url, content=encode(request)))


@overload
def joint_transaction(*collections: Collection) -> JointTransaction: ...
@overload
def joint_transaction(*collections: AsyncCollection) -> AsyncJointTransaction: ...
def joint_transaction(*collections: Collection | AsyncCollection) -> JointTransaction | AsyncJointTransaction:
    """A transaction of several collections of one database. Raises TypeError as `transaction`, and ValueError."""
    if any(isinstance(collection, AsyncCollection) for collection in collections):
        return AsyncJointTransaction(cast(Sequence[AsyncCollection], collections))
    return JointTransaction(cast(Sequence[Collection], collections))


def _by_name(
    parts: Mapping[Any, CollectionTransaction | AsyncCollectionTransaction], answer: Any
) -> dict[str, CommitResult]:
    names = {str(key): part._collection.name for key, part in parts.items()}
    return {
        names[found["collection_id"]]: CommitResult(
            first_inserted_record_offset=found["first_inserted_record_offset"], record_count=found["record_count"]
        )
        for found in answer["collections"]
    }
