"""Handlers of the record routes: add, update, upsert, delete, get, query, count, indexing status."""

from typing import Any

import numpy as np
import orjson

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.restricted import LOG_POSITION
from afterglow.api.http.usage_header import add_attributes
from afterglow.api.v2 import adaptive, record_requests, record_responses
from afterglow.api.v2.collection_first import collection_first
from afterglow.api.v2.explain import check_allowed, explained
from afterglow.api.validation import json_body
from afterglow.collection import Op
from afterglow.collection.read.explanation import Explanation
from afterglow.collection.read.read_path import Hits
from afterglow.collection.read.rows import RecordPlan
from afterglow.collection.types import QueryResult, Records
from afterglow.errors import InvalidArgument
from afterglow.filters.budget import FilterBudget
from afterglow.metering import phase

_EMPTY = b"{}"


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
    with collection_first(context, scope):
        selection = record_requests.selection(body, record_requests.filter_budget(context.settings))
        if not filtered and body.limit is not None and body.ids != []:
            raise InvalidArgument(
                "Validation error: limit, where: limit can only be specified when a where clause is provided"
            )
        if not filtered and body.ids == []:
            raise InvalidArgument("Validation error: ids, where: Either ids or where must be specified")
    if body.erase:
        with phase("handle"):
            erased, erasure = context.engine.erase(scope, selection, body.limit)
        add_attributes(rows=erased.count)
        erasure_id = None if erasure is None else str(erasure.id)
        return Response(orjson.dumps({"deleted": erased.count, "erasure": erasure_id}))
    with phase("handle"):
        deleted = context.engine.delete(scope, selection, body.limit)
    add_attributes(rows=deleted.count)
    return with_log_position(orjson.dumps({"deleted": deleted.count}), deleted.position)


def get(context: AppContext, request: Request) -> Response | Deferred:
    """Records in insertion order."""
    settings = context.settings
    return adaptive.respond(
        request,
        lambda: _GetRequest(context, request, record_requests.cheap_filter_budget(settings)),
        lambda: _GetRequest(context, request, record_requests.filter_budget(settings)),
    )


class _GetRequest:
    """A get that matches the schema. Raises InvalidBody and LimitExceeded, then NotFound, then InvalidArgument."""

    embeds = False

    def __init__(self, context: AppContext, request: Request, budget: FilterBudget) -> None:
        self._engine = context.engine
        with phase("parse"):
            self._body = json_body.parse(models.GetRecords, request.body)
            check_allowed(request, explain=self._body.explain)
            self._scope = request_params.scope(request)
            with collection_first(context, self._scope):
                self._selection = record_requests.selection(self._body, budget)
        self._at = request_params.parse_at(request)

    def is_cheap(self) -> bool:
        """Whether the records are found in at most about a millisecond."""
        return not self._body.explain and self._engine.can_get_inline(
            self._scope, self._selection, self._body.limit, self._at
        )

    def respond(self) -> Response:
        """Find the records, read and encode them. Raises LimitExceeded, ResponseTooLarge."""
        if not self._body.explain:
            return self.encode(self.find())
        records, explain = explained(lambda explanation: self._read(self.find(explanation)))
        return self._render(records, explain)

    def find(self, explanation: Explanation | None = None) -> RecordPlan:
        """Locate the records. Raises LimitExceeded, ResponseTooLarge."""
        body, include = self._body, record_requests.include(self._body.include)
        with phase("handle"):
            return self._engine.find_records(
                self._scope,
                self._selection,
                body.limit,
                body.offset or 0,
                include,
                at=self._at,
                explanation=explanation,
            )

    def byte_size(self, found: RecordPlan) -> int:
        """The estimated size of the records."""
        return found.byte_size

    def encode(self, found: RecordPlan) -> Response:
        """Read the records and encode them."""
        return self._render(self._read(found))

    def _read(self, found: RecordPlan) -> Records:
        with phase("handle"), phase("fetch"):
            return found.read()

    def _render(self, records: Records, explain: dict[str, Any] | None = None) -> Response:
        add_attributes(rows=len(records.ids))
        with phase("render"):
            return with_log_position(record_responses.get_body(records, self._body.include, explain), records.position)


def query(context: AppContext, request: Request) -> Response | Deferred:
    """The records nearest to each query vector or text."""
    settings = context.settings
    return adaptive.respond(
        request,
        lambda: _QueryRequest(context, request, record_requests.cheap_filter_budget(settings), max_vectors=1),
        lambda: _QueryRequest(context, request, record_requests.filter_budget(settings), settings.max_query_vectors),
        may_embed=b'"query_texts"' in request.body,
    )


class _QueryRequest:
    """A query that matches the schema.

    Raises InvalidBody and LimitExceeded, then NotFound, then InvalidArgument for a wrong value.
    """

    def __init__(self, context: AppContext, request: Request, budget: FilterBudget, max_vectors: int) -> None:
        self._engine = context.engine
        with phase("parse"):
            self._body = json_body.parse(models.QueryRecords, request.body)
            check_allowed(request, explain=self._body.explain)
            self._scope = request_params.scope(request)
            with collection_first(context, self._scope):
                self._queries = record_requests.queries(self._body, max_vectors)
                self._selection = record_requests.selection(self._body, budget)
        n_results = self._body.n_results
        self._k = record_requests.DEFAULT_RESULTS if n_results is None else n_results
        self._at = request_params.parse_at(request)

    @property
    def embeds(self) -> bool:
        """Whether the queries are texts."""
        return self._body.query_texts is not None

    def is_cheap(self) -> bool:
        """Whether the query takes at most about a millisecond."""
        return not (self.embeds or self._body.explain) and self._engine.can_query_inline(
            self._scope, len(self._queries), self._k, self._selection, self._at
        )

    def respond(self) -> Response:
        """Find the nearest records, read and encode them. Raises LimitExceeded, ResponseTooLarge."""
        if not self._body.explain:
            return self.encode(self.find())
        (results, position), explain = explained(lambda explanation: self._read(self.find(explanation)))
        return self._render(results, position, explain)

    def find(self, explanation: Explanation | None = None) -> Hits:
        """Find the nearest records. Raises LimitExceeded, ResponseTooLarge."""
        include = record_requests.include(self._body.include)
        # Vectors of extreme components have distances beyond float32; the response holds null for them.
        with phase("handle"), np.errstate(over="ignore", invalid="ignore"):
            hits = self._engine.find(
                self._scope, self._queries, self._k, self._selection, include, at=self._at, explanation=explanation
            )
        add_attributes(queries=len(hits.counts), rows=len(hits.distances))
        return hits

    def byte_size(self, found: Hits) -> int:
        """The estimated size of the records."""
        return found.byte_size

    def encode(self, found: Hits) -> Response:
        """Read the records and encode them."""
        return self._render(*self._read(found))

    def _read(self, hits: Hits) -> tuple[list[QueryResult], int | None]:
        with phase("handle"):
            results = hits.read()
        return results, hits.position if results else None

    def _render(
        self, results: list[QueryResult], position: int | None, explain: dict[str, Any] | None = None
    ) -> Response:
        with phase("render"):
            return with_log_position(record_responses.query_body(results, self._body.include, explain), position)


def count(context: AppContext, request: Request) -> Response:
    """The number of records in the collection."""
    level = request_params.read_level(request)
    counted = context.engine.count(request_params.scope(request), level, request_params.parse_at(request))
    return with_log_position(b"%d" % counted.count, counted.position)


def indexing_status(context: AppContext, request: Request) -> Response:
    """The numbers of logged and of indexed operations."""
    status = context.engine.indexing_status(request_params.scope(request))
    return Response(
        orjson.dumps(
            {
                "op_indexing_progress": status.progress,
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
    with collection_first(context, scope), phase("parse"):
        batch = write.batch()
    add_attributes(rows=len(batch.ids))

    def write_batch() -> Response:
        with phase("handle"):
            position = context.engine.write(scope, batch)
        delay = context.engine.slowdown_seconds(scope, len(batch.ids))
        return with_log_position(_EMPTY, position, delay)

    return Deferred(write_batch, embeds=True) if write.embeds else write_batch()


def with_log_position(body: bytes, position: int | None, delay_seconds: float = 0.0) -> Response:
    """The response with a header for the log position: the entry of a write, or the last entry that a read includes."""
    return Response(
        body, headers=[] if position is None else [(LOG_POSITION, b"%d" % position)], delay_seconds=delay_seconds
    )
