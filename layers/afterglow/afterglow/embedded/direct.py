"""The record calls of the synchronous client without HTTP: vectors go to the engine and come back as arrays.

A call runs in the caller's thread. Everything but the vectors is checked as a request's body would be, and the errors
are those that the client raises for the responses of a server.

1. The fields other than vectors are encoded as JSON and parsed, which makes them plain values as over HTTP; this costs
   little beside the vectors, which would be encoded number by number.
2. The checks of `api` produce the engine's arguments, in the same order of errors.
3. The engine's records become the client's result; distances are rounded as in JSON.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import httpx
import numpy as np
import orjson
from chromadb.api.types import deserialize_metadata, serialize_metadata
from numpy.typing import NDArray

from afterglow.api import models
from afterglow.api.http import errors
from afterglow.api.http.handler import AppContext
from afterglow.api.v2 import record_requests
from afterglow.api.validation import embeddings, json_body
from afterglow.collection import Op
from afterglow.collection.types import QueryResult, Records, Scope
from afterglow.embedded.transport import HOST, AppRunner
from afterglow.errors import AfterglowError, InvalidArgument

T = TypeVar("T")

Vectors = Sequence[Any]
"""One array of numbers for each record or query, as the client has checked and normalized them."""

_SPARSE = b'"sparse_vector"'


class DirectRecords:
    """Record calls on one open engine. Safe for any number of threads."""

    def __init__(
        self, runner: AppRunner, context: AppContext, raise_for_response: Callable[[httpx.Response], None]
    ) -> None:
        """`raise_for_response` raises the client's error for the response to a failed request."""
        self._runner = runner
        self._context = context
        self._raise_for_response = raise_for_response

    def write(self, op: Op, scope: Scope, vectors: Vectors | None, **fields: Any) -> None:
        """Add, update or upsert records; `fields` are those of the request other than its embeddings."""
        metadatas = fields["metadatas"]
        if metadatas is not None:
            fields["metadatas"] = [None if one is None else serialize_metadata(one) for one in metadatas]

        def run() -> int:
            given: list[Any] | None = None if vectors is None else []
            body = _plain({**fields, "embeddings": given})
            to_batch = record_requests.check_write(op, json_body.validate(record_requests.WRITE_MODELS[op], body))
            count = None if vectors is None else len(vectors)
            batch = self._checked(scope, lambda: to_batch(_embeddings(vectors), count))
            self._context.engine.write(scope, batch)
            return len(batch.ids)

        ops = self._call(run)
        delay = self._context.engine.slowdown_seconds(scope, ops)
        if delay:
            self._context.system.sleep(delay)

    def get(self, scope: Scope, **fields: Any) -> Records:
        """Records in insertion order; `fields` are those of the request."""

        def run() -> Records:
            body = json_body.validate(models.GetRecords, _plain(fields))
            budget = record_requests.filter_budget(self._context.settings)
            selection = self._checked(scope, lambda: record_requests.selection(body, budget))
            include = record_requests.include(body.include)
            return self._context.engine.get(scope, selection, body.limit, body.offset or 0, include)

        return self._call(run)

    def query(self, scope: Scope, vectors: Vectors, **fields: Any) -> list[QueryResult]:
        """The records nearest to each vector; `fields` are those of the request other than its vectors."""

        def run() -> list[QueryResult]:
            body = json_body.validate(models.QueryRecords, _plain({**fields, "query_embeddings": []}))
            budget = record_requests.filter_budget(self._context.settings)
            queries, selection = self._checked(
                scope,
                lambda: (embeddings.queries_from_arrays(vectors), record_requests.selection(body, budget)),
            )
            include = record_requests.include(body.include)
            k = record_requests.DEFAULT_RESULTS if body.n_results is None else body.n_results
            with np.errstate(over="ignore", invalid="ignore"):
                return self._context.engine.query(scope, queries, k, selection, include)

        return self._call(run)

    def embed(self, scope: Scope, texts: Sequence[str], *, is_query: bool) -> NDArray[np.float32] | None:
        """The vectors of texts by the function of the collection; None if it names one that the engine does not run."""
        engine = self._context.engine
        embed = engine.embed_queries if is_query else engine.embed_documents
        return self._call(lambda: embed(scope, texts) if engine.embeds_texts(scope) else None)

    def _checked(self, scope: Scope, check: Callable[[], T]) -> T:
        """The result of a check of values, which an unknown collection takes precedence over."""
        try:
            return check()
        except InvalidArgument:
            self._context.engine.get_collection_by_id(scope)
            raise

    def _call(self, run: Callable[[], T]) -> T:
        with self._runner.call():
            try:
                return run()
            except AfterglowError as error:
                trace_id = errors.new_trace_id(self._context.system)
                response = errors.client_error(error, "POST", "", trace_id)
        self._raise_for_response(
            httpx.Response(
                response.status or 500,
                headers=response.headers,
                content=response.body,
                request=httpx.Request("POST", f"http://{HOST}"),
            )
        )
        raise AssertionError("a failed request has an error")


def scope_of(tenant: str, database: str, collection_id: UUID | str) -> Scope:
    """The collection that a client names."""
    return Scope(tenant, database, collection_id if isinstance(collection_id, UUID) else UUID(collection_id))


def metadatas_of(records: Records) -> list[Any] | None:
    """The metadata of records as the client's values: dicts, with sparse vectors as objects of its class."""
    if records.metadatas is None:
        return None
    return [None if encoded is None else _decode_metadata(encoded) for encoded in records.metadatas]


def distances_of(result: QueryResult) -> Any:
    """The distances as numbers, each the shortest that rounds to the float32, as in JSON; None for infinite ones."""
    return orjson.loads(orjson.dumps(np.ascontiguousarray(result.distances), option=orjson.OPT_SERIALIZE_NUMPY))


def embeddings_of(records: Records) -> NDArray[np.float64] | list[Any] | None:
    """The vectors of records, float64 (n, dimension), as the client returns them; an empty list for no records."""
    if records.embeddings is None or not len(records.embeddings):
        return None if records.embeddings is None else []
    return records.embeddings.astype(np.float64)


def _decode_metadata(encoded: bytes) -> Any:
    metadata = orjson.loads(encoded)
    return deserialize_metadata(metadata) if _SPARSE in encoded else metadata


def _plain(fields: dict[str, Any]) -> Any:
    return orjson.loads(orjson.dumps(fields))


def _embeddings(vectors: Vectors | None) -> embeddings.Embeddings:
    return embeddings.Embeddings(None) if vectors is None else embeddings.from_arrays(vectors)
