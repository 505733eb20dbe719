"""Handlers of the record routes: add, update, upsert, delete, get, query, count, indexing status."""

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.usage_header import add_attributes
from afterglow.api.v2 import record_requests, record_responses
from afterglow.api.validation import embeddings, json_body
from afterglow.collection import Op
from afterglow.errors import InvalidArgument
from afterglow.metering import phase

_EMPTY = b"{}"
_LOG_POSITION = b"afterglow-log-position"
_DEFAULT_RESULTS = 10
_CHEAP_BODY_BYTES = 64 * 1024
"""A body of this size is parsed in less than a millisecond."""


def add(context: AppContext, request: Request) -> Response | Deferred:
    """Add records; existing ids are skipped."""
    return _write(context, request, Op.ADD)


def update(context: AppContext, request: Request) -> Response | Deferred:
    """Update records; unknown ids are skipped."""
    return _write(context, request, Op.UPDATE)


def upsert(context: AppContext, request: Request) -> Response | Deferred:
    """Insert records, or update existing ones."""
    return _write(context, request, Op.UPSERT)


def delete(context: AppContext, request: Request) -> Response:
    """Delete records by id, by filter, or by both."""
    with phase("parse"):
        body = json_body.parse(models.DeleteRecords, request.body)
    scope = request_params.scope(request)
    filtered = body.where is not None or body.where_document is not None
    try:
        selection = record_requests.selection(body)
        if not filtered and body.limit is not None and body.ids != []:
            raise InvalidArgument(
                "Validation error: limit, where: limit can only be specified when a where clause is provided"
            )
        if not filtered and body.ids == []:
            raise InvalidArgument("Validation error: ids, where: Either ids or where must be specified")
    except InvalidArgument:
        context.engine.get_collection_by_id(scope)
        raise
    with phase("handle"):
        deleted = context.engine.delete(scope, selection, body.limit)
    add_attributes(rows=deleted.count)
    return with_log_position(orjson.dumps({"deleted": deleted.count}), deleted.position)


def get(context: AppContext, request: Request) -> Response:
    """Records in insertion order."""
    with phase("parse"):
        body = json_body.parse(models.GetRecords, request.body)
    scope = request_params.scope(request)
    try:
        with phase("parse"):
            selection = record_requests.selection(body)
    except InvalidArgument:
        context.engine.get_collection_by_id(scope)
        raise
    include = record_requests.include(body.include)
    at = request_params.parse_at(request)
    with phase("handle"):
        records = context.engine.get(scope, selection, body.limit, body.offset or 0, include, at=at)
    add_attributes(rows=len(records.ids))
    with phase("render"):
        return with_log_position(record_responses.get_body(records, body.include), records.position)


def query(context: AppContext, request: Request) -> Response | Deferred:
    """The records nearest to each query vector or text."""
    if len(request.body) > _CHEAP_BODY_BYTES:
        return Deferred(lambda: _QueryRequest(context, request).respond(), embeds=b'"query_texts"' in request.body)
    parsed = _QueryRequest(context, request)
    return parsed.respond() if parsed.is_cheap() else Deferred(parsed.respond, parsed.embeds)


class _QueryRequest:
    """A query that matches the schema. Raises InvalidBody, then NotFound, then InvalidArgument for a wrong value."""

    def __init__(self, context: AppContext, request: Request) -> None:
        self._engine = context.engine
        with phase("parse"):
            self._body = json_body.parse(models.QueryRecords, request.body)
        self._scope = request_params.scope(request)
        try:
            with phase("parse"):
                self._queries = self._parse_queries()
                self._selection = record_requests.selection(self._body)
        except InvalidArgument:
            self._engine.get_collection_by_id(self._scope)
            raise
        n_results = self._body.n_results
        self._k = _DEFAULT_RESULTS if n_results is None else n_results
        self._at = request_params.parse_at(request)

    @property
    def embeds(self) -> bool:
        """Whether the queries are texts."""
        return self._body.query_texts is not None

    def is_cheap(self) -> bool:
        """Whether the query takes at most about a millisecond."""
        return not self.embeds and self._engine.can_query_inline(
            self._scope, len(self._queries), self._k, self._selection, self._at
        )

    def respond(self) -> Response:
        """Run the query and encode its result."""
        include = record_requests.include(self._body.include)
        # Vectors of extreme components have distances beyond float32; the response holds null for them.
        with phase("handle"), np.errstate(over="ignore", invalid="ignore"):
            results = self._engine.query(self._scope, self._queries, self._k, self._selection, include, at=self._at)
        add_attributes(queries=len(results), rows=sum(len(result.records.ids) for result in results))
        with phase("render"):
            position = results[0].records.position if results else None
            return with_log_position(record_responses.query_body(results, self._body.include), position)

    def _parse_queries(self) -> NDArray[np.float32] | list[str]:
        """Vectors, or texts. Raises InvalidBody, InvalidArgument."""
        body = self._body
        if body.query_texts is None:
            if "query_embeddings" not in body.model_fields_set:
                raise json_body.schema_error("", "missing field `query_embeddings`")
            return embeddings.parse_queries(body.query_embeddings)
        if body.query_embeddings is not None:
            raise InvalidArgument("a query has either query_embeddings or query_texts, not both")
        return body.query_texts


def count(context: AppContext, request: Request) -> Response:
    """The number of records in the collection."""
    level = request_params.read_level(request)
    counted = context.engine.count(request_params.scope(request), level, request_params.parse_at(request))
    return with_log_position(b"%d" % counted.count, counted.position)


def indexing_status(context: AppContext, request: Request) -> Response:
    """The numbers of logged and of indexed operations."""
    status = context.engine.indexing_status(request_params.scope(request))
    progress = status.indexed_ops / status.total_ops if status.total_ops else 1.0
    return Response(
        orjson.dumps(
            {
                "op_indexing_progress": progress,
                "num_unindexed_ops": status.total_ops - status.indexed_ops,
                "num_indexed_ops": status.indexed_ops,
                "total_ops": status.total_ops,
            }
        )
    )


def _write(context: AppContext, request: Request, op: Op) -> Response | Deferred:
    with phase("parse"):
        write = record_requests.parse_write(op, request.body)
    scope = request_params.scope(request)
    try:
        with phase("parse"):
            batch = write.batch()
    except InvalidArgument:
        # An unknown collection takes precedence over a wrong value.
        context.engine.get_collection_by_id(scope)
        raise
    add_attributes(rows=len(batch.ids))

    def write_batch() -> Response:
        with phase("handle"):
            position = context.engine.write(scope, batch)
        return with_log_position(_EMPTY, position)

    return Deferred(write_batch, embeds=True) if write.embeds else write_batch()


def with_log_position(body: bytes, position: int | None) -> Response:
    """The response with a header for the log position: the entry of a write, or the last entry that a read includes."""
    return Response(body, headers=[] if position is None else [(_LOG_POSITION, b"%d" % position)])
