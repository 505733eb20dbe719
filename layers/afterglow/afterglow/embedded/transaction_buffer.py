"""What a transaction of Chroma's clients has read, and its writes: the bodies of its requests, and their results."""

from typing import Any, TypedDict
from urllib.parse import quote

import httpx
import numpy as np
import orjson
from chromadb.api.fastapi import FastAPI
from chromadb.api.models.CollectionCommon import CollectionCommon
from chromadb.api.types import (
    GetResult,
    Include,
    QueryResult,
    SearchResult,
    deserialize_metadata,
    maybe_cast_one_to_many,
    serialize_metadata,
)
from chromadb.errors import ChromaError
from overrides import override

from afterglow.settings import System

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


class Buffer:
    """What a transaction has read, and its writes."""

    def __init__(self, collection: CollectionCommon[Any]) -> None:
        self.collection = collection
        self.token: int | None = None
        self.is_closed = False
        self._read_ids: set[str] = set()
        self._filters: list[dict[str, Any]] = []
        self._queries: list[dict[str, Any]] = []
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
        result = GetResult(
            ids=response["ids"],
            embeddings=response["embeddings"],
            documents=response["documents"],
            uris=response["uris"],
            metadatas=_decoded(response["metadatas"]),
            data=None,
            included=include,
        )
        return self.collection._transform_get_response(response=result, include=include)

    def query_request(
        self, vectors: Any, texts: Any, images: Any, uris: Any, include: Include, **fields: Any
    ) -> dict[str, Any]:
        """The body of a query."""
        self._require_open()
        within, exact = fields.pop("within"), fields.pop("exact")
        prepared = self.collection._validate_and_prepare_query_request(
            query_embeddings=vectors,
            query_texts=texts,
            query_images=images,
            query_uris=uris,
            include=include,
            **fields,
        )
        body = {name: prepared[name] for name in ("ids", "n_results", "where", "where_document")}
        vectors = [np.asarray(vector, dtype=np.float32) for vector in prepared["embeddings"]]
        names = [name for name in prepared["include"] if name != "data"]
        reads = {"read_token": self.token, "within": within, "exact": exact}
        return {**body, **reads, "query_embeddings": vectors, "include": names}

    def record_query(self, response: dict[str, Any], include: Include) -> QueryResult:
        """Note what was read; the client's result."""
        self._record(response)
        result = QueryResult(
            ids=response["ids"],
            distances=response["distances"],
            embeddings=response["embeddings"],
            metadatas=_metadatas(response["metadatas"]),
            documents=response["documents"],
            uris=response["uris"],
            data=None,
            included=include,
        )
        return self.collection._transform_query_response(response=result, include=include)

    def search_request(self, searches: Any, *, exact: bool) -> dict[str, Any]:
        """The body of searches."""
        self._require_open()
        several = maybe_cast_one_to_many(searches) or []
        embedded = [self.collection._embed_search_string_queries(search) for search in several]
        return {"searches": [search.to_dict() for search in embedded], "exact": exact, "read_token": self.token}

    def record_search(self, response: dict[str, Any]) -> SearchResult:
        """Note what was read; the client's result."""
        self._record(response)
        response["metadatas"] = _metadatas(response["metadatas"])
        return SearchResult(response)

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
        return self._fields() | ({} if self.token is None else {"nonce": self._nonce})

    def joint_request(self) -> dict[str, Any] | None:
        """The part of the collection in a commit of several, None if nothing was read or written; closes."""
        self._require_open()
        self.is_closed = True
        if not self._operations and self.token is None:
            return None
        return {"collection_id": str(self.collection.id), **self._fields()}

    @property
    def is_blind(self) -> bool:
        """Whether it writes without having read."""
        return self.token is None and bool(self._operations)

    def _fields(self) -> dict[str, Any]:
        reads: dict[str, Any] = {"read_token": self.token, "read_ids": sorted(self._read_ids)}
        if self.token is not None:
            reads |= {"read_filters": self._filters, "read_queries": self._queries}
        return {**reads, "operations": self._operations}

    def path(self, call: str) -> str:
        """The path of a call below that of the API."""
        return f"{self.database_path}/collections/{self.collection.id}/conditional/{call}"

    @property
    def database_path(self) -> str:
        """The path of the collection's database below that of the API."""
        tenant, database = quote(self.collection.tenant, safe=""), quote(self.collection.database, safe="")
        return f"/tenants/{tenant}/databases/{database}"

    def _record(self, response: dict[str, Any]) -> None:
        """Note what a query or a search has read: the records with their contents, and what their choice depends on."""
        self.token = response.pop("read_token")
        self._queries += response.pop("read_queries")
        for ids in response["ids"]:
            self._read_ids.update(ids)

    def _keep(self, operation: str, payload: dict[str, Any]) -> None:
        self._written.update(payload["ids"] or ())
        self._operations.append({"operation": operation, "payload": payload})

    def _require_open(self) -> None:
        if self.is_closed:
            raise ValueError("the transaction is closed")


def _decoded(metadatas: Any) -> Any:
    """The client's values of the metadata of several records."""
    return None if metadatas is None else [None if one is None else deserialize_metadata(one) for one in metadatas]


def _metadatas(results: Any) -> Any:
    """The same for each of several queries or searches."""
    return None if results is None else [_decoded(metadatas) for metadatas in results]


def _is_filtered(operation: dict[str, Any]) -> bool:
    payload = operation["payload"]
    return operation["operation"] == "delete" and bool(payload["where"] or payload["where_document"])


def sends(request: dict[str, Any]) -> int:
    """How often a commit may be sent: without a nonce, the server would not recognise it."""
    return _SENDS if "nonce" in request else 1


def encode(body: dict[str, Any]) -> bytes:
    """The body of a request, as JSON."""
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def result_of(response: httpx.Response) -> Any:
    """The body of a response. Raises TransactionAborted, and otherwise what the client raises."""
    if response.status_code in (409, 412, 429):
        error = orjson.loads(response.content)
        if error.get("error") in _ABORTS:
            raise TransactionAborted(error["error"], error["message"], response.status_code)
    FastAPI._raise_chroma_error(response)
    return orjson.loads(response.content)
