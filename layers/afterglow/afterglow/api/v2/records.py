"""Handlers of the record routes: add, update, upsert, delete, get, query, count, indexing status."""

import numpy as np
import orjson

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.usage_header import note
from afterglow.api.v2 import record_requests, record_responses
from afterglow.api.validation import embeddings, json_body
from afterglow.collection import Op
from afterglow.errors import InvalidArgument
from afterglow.metering import phase

_NOTHING = b"{}"
_POSITION = b"afterglow-log-position"
_DEFAULT_RESULTS = 10
_CHEAP_BODY_BYTES = 64 * 1024
"""Bytes of a body that is parsed in less than a millisecond."""


def add(service: AppContext, call: Request) -> Response:
    """Add records; those whose id is there are left alone."""
    return _write(service, call, Op.ADD)


def update(service: AppContext, call: Request) -> Response:
    """Change records; those that are not there are left out."""
    return _write(service, call, Op.UPDATE)


def upsert(service: AppContext, call: Request) -> Response:
    """Insert records, or change those that are there."""
    return _write(service, call, Op.UPSERT)


def delete(service: AppContext, call: Request) -> Response:
    """Delete records by id, by filter, or by both."""
    with phase("parse"):
        request = json_body.parse(models.DeleteRecords, call.body)
    scope = request_params.scope(call)
    filtered = request.where is not None or request.where_document is not None
    try:
        selection = record_requests.selection(request)
        if not filtered and request.limit is not None and request.ids != []:
            raise InvalidArgument(
                "Validation error: limit, where: limit can only be specified when a where clause is provided"
            )
        if not filtered and request.ids == []:
            raise InvalidArgument("Validation error: ids, where: Either ids or where must be specified")
    except InvalidArgument:
        service.engine.get_collection_by_id(scope)
        raise
    with phase("handle"):
        deleted = service.engine.delete(scope, selection, request.limit)
    note(rows=deleted.count)
    return positioned(orjson.dumps({"deleted": deleted.count}), deleted.position)


def get(service: AppContext, call: Request) -> Response:
    """Records in insertion order."""
    with phase("parse"):
        request = json_body.parse(models.GetRecords, call.body)
    scope = request_params.scope(call)
    try:
        with phase("parse"):
            selection = record_requests.selection(request)
    except InvalidArgument:
        service.engine.get_collection_by_id(scope)
        raise
    include = record_requests.include(request.include)
    at = request_params.parse_at(call)
    with phase("handle"):
        records = service.engine.get(scope, selection, request.limit, request.offset or 0, include, at=at)
    note(rows=len(records.ids))
    with phase("render"):
        return positioned(record_responses.get_body(records, request.include), records.position)


def query(service: AppContext, call: Request) -> Response | Deferred:
    """The records nearest to each query vector."""
    if len(call.body) > _CHEAP_BODY_BYTES:
        return Deferred(lambda: _Query(service, call).answer())
    asked = _Query(service, call)
    return asked.answer() if asked.is_cheap() else Deferred(asked.answer)


class _Query:
    """A query of good shape. Raises InvalidArgument, Malformed, and NotFound before a wrong value."""

    def __init__(self, service: AppContext, call: Request) -> None:
        self._engine = service.engine
        with phase("parse"):
            self._request = json_body.parse(models.QueryRecords, call.body)
        self._scope = request_params.scope(call)
        try:
            with phase("parse"):
                self._vectors = embeddings.parse_queries(self._request.query_embeddings)
                self._selection = record_requests.selection(self._request)
        except InvalidArgument:
            self._engine.get_collection_by_id(self._scope)
            raise
        wanted = self._request.n_results
        self._wanted = _DEFAULT_RESULTS if wanted is None else wanted
        self._at = request_params.parse_at(call)

    def is_cheap(self) -> bool:
        """Whether the answer takes about a millisecond."""
        return self._engine.can_query_inline(self._scope, len(self._vectors), self._wanted, self._selection, self._at)

    def answer(self) -> Response:
        """Search and render."""
        include = record_requests.include(self._request.include)
        # Distances beyond float32 are the client's doing; they go out as null.
        with phase("handle"), np.errstate(over="ignore", invalid="ignore"):
            hits = self._engine.query(self._scope, self._vectors, self._wanted, self._selection, include, at=self._at)
        note(queries=len(hits), rows=sum(len(each.records.ids) for each in hits))
        with phase("render"):
            position = hits[0].records.position if hits else None
            return positioned(record_responses.query_body(hits, self._request.include), position)


def count(service: AppContext, call: Request) -> Response:
    """How many records the collection has."""
    level = request_params.read_level(call)
    counted = service.engine.count(request_params.scope(call), level, request_params.parse_at(call))
    return positioned(b"%d" % counted.count, counted.position)


def indexing_status(service: AppContext, call: Request) -> Response:
    """How many operations there were, and how many are indexed."""
    status = service.engine.indexing_status(request_params.scope(call))
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


def _write(service: AppContext, call: Request, op: Op) -> Response:
    with phase("parse"):
        write = record_requests.parse_write(op, call.body)
    scope = request_params.scope(call)
    try:
        with phase("parse"):
            batch = write.batch()
    except InvalidArgument:
        # A collection that is not there is the greater news.
        service.engine.get_collection_by_id(scope)
        raise
    note(rows=len(batch.ids))
    with phase("handle"):
        position = service.engine.write(scope, batch)
    return positioned(_NOTHING, position)


def positioned(body: bytes, position: int | None) -> Response:
    """The answer, with the log entry that a write became, or that a read saw last, in a header."""
    return Response(body, headers=[] if position is None else [(_POSITION, b"%d" % position)])
