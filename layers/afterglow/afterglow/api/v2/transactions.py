"""Handlers of transactions: reads of one snapshot, and the commit of operations that depend on them.

The wire is that of Chroma's next clients. `read_filters`, `read_queries` and `nonce` of a commit, and deletes by
filter, are ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import orjson

from afterglow.api import models
from afterglow.api.http import errors, request_params
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.usage_header import add_attributes
from afterglow.api.v2 import read_tokens, record_requests, record_responses
from afterglow.api.v2.collection_first import collection_first
from afterglow.api.v2.records import with_log_position
from afterglow.api.v2.search import parse_search_filter
from afterglow.api.validation import embeddings, json_body
from afterglow.collection import Batch, Op
from afterglow.collection.types import Scope, Selection
from afterglow.collection.write.read_predicates import Neighborhood
from afterglow.collection.write.transaction import CommitResult, FilteredDelete, Transaction
from afterglow.errors import InvalidArgument, InvalidBody, LimitExceeded
from afterglow.filters.budget import FilterBudget
from afterglow.metering import phase

T = TypeVar("T")

MAX_OPERATIONS = 1_000
MAX_READ_IDS = 100_000
MAX_READ_FILTERS = 100


def get(context: AppContext, request: Request) -> Response:
    """Records in insertion order, and the token for the next reads of the transaction."""
    with phase("parse"):
        body = json_body.parse(models.ConditionalGet, request.body)
    scope = request_params.scope(request)

    with phase("parse"), collection_first(context, scope):
        selection = record_requests.selection(body, record_requests.filter_budget(context.settings))
        position = read_tokens.position_of(context, scope, body.read_token)
    include = record_requests.include(body.include)
    with phase("handle"):
        records = context.engine.get_in_transaction(
            scope, selection, body.limit, body.offset or 0, include, position=position
        )
    add_attributes(rows=len(records.ids))
    token = read_tokens.encode(context, scope, records.position, body.read_token)
    with phase("render"):
        encoded = record_responses.get_body(records, body.include, more={"read_token": token})
        return with_log_position(encoded, records.position)


def commit(context: AppContext, request: Request) -> Response | Deferred:
    """Write all operations, unless what the transaction has read was written since."""
    with phase("parse"):
        body = json_body.parse(models.ConditionalCommit, request.body)
        operations = [to_operations(one) for one in body.operations]
    scope = request_params.scope(request)

    with phase("parse"), collection_first(context, scope):
        budget = record_requests.filter_budget(context.settings)
        parsed = [to_operation(budget) for to_operation, _ in operations]
        position = read_tokens.position_of(context, scope, body.read_token)
        nonce = read_tokens.check_nonce(request, body.nonce)
        transaction = to_transaction(body, parsed, budget, position, nonce)
    check_bounds(context, [transaction])

    def write() -> Response:
        if not transaction.operations:
            context.engine.get_collection_by_id(scope)
            return Response(orjson.dumps(committed(scope, CommitResult(None, 0))))
        with phase("handle"):
            result = context.engine.commit(scope, transaction)
        add_attributes(rows=result.records)
        delay = context.engine.slowdown_seconds(scope, result.records)
        return with_log_position(orjson.dumps(committed(scope, result)), result.position, delay)

    return Deferred(write, embeds=True) if any(embeds for _, embeds in operations) else write()


def commit_nothing(context: AppContext, request: Request) -> Response:
    """The commit of a caller who may only read: of no operations."""
    try:
        operations = json_body.parse(models.ConditionalCommit, request.body).operations
    except (InvalidArgument, InvalidBody):
        raise errors.forbidden() from None
    if operations:
        raise errors.forbidden()
    scope = request_params.scope(request)
    context.engine.get_collection_by_id(scope)
    return Response(orjson.dumps(committed(scope, CommitResult(None, 0))))


ToOperation = Callable[[FilterBudget], Batch | FilteredDelete]


def to_operations(operation: models.Operation) -> tuple[ToOperation, bool]:
    """The function to the engine's operation, which raises InvalidArgument, and whether it embeds documents.

    Raises InvalidBody.
    """
    if isinstance(operation, models.DeleteOperation):
        payload = operation.payload
        return lambda budget: _delete(payload, budget), False
    write = record_requests.check_records(Op(operation.operation), operation.payload)
    return lambda _: write.batch(), write.embeds


def _delete(body: models.DeleteRecords, budget: FilterBudget) -> Batch | FilteredDelete:
    selection = record_requests.selection(body, budget)
    if selection.where is not None or selection.where_document is not None:
        return FilteredDelete(selection, body.limit)
    if body.limit is not None or not body.ids:
        raise InvalidArgument("a delete in a transaction needs ids or a filter, and a limit only with a filter")
    return Batch(Op.DELETE, body.ids)


def to_transaction(
    body: models.CommitFields,
    operations: list[Batch | FilteredDelete],
    budget: FilterBudget,
    position: int | None,
    nonce: str | None,
) -> Transaction:
    """The engine's transaction of one collection, with the position of its reads. Raises InvalidArgument."""
    if body.read_token is None and body.read_ids:
        raise InvalidArgument("conditional commit with read_ids requires read_token")
    if body.read_token is None and (body.read_filters or body.read_queries or nonce is not None):
        raise InvalidArgument("conditional commit with read_filters, read_queries or a nonce requires read_token")
    kinds = [isinstance(operation, FilteredDelete) for operation in operations]
    if kinds != sorted(kinds, reverse=True):
        raise InvalidArgument("a delete by filter must precede the other operations of its transaction")
    filters = [
        record_requests.selection(models.Filters(where=one.where, where_document=one.where_document), budget)
        for one in body.read_filters
    ]
    neighborhoods = []
    for index, query in enumerate(body.read_queries):
        read = _read_query(query, f"read_queries[{index}]", budget)
        if isinstance(read, Selection):
            filters.append(read)
        else:
            neighborhoods.append(read)
    return Transaction(operations, position, body.read_ids, filters, nonce, neighborhoods)


def _read_query(query: models.ReadQuery, path: str, budget: FilterBudget) -> Selection | Neighborhood:
    selection = record_requests.selection(query, budget)
    if query.filter is not None:
        if selection.where is not None:
            raise InvalidArgument(f"{path}: either where or filter, not both")
        selection = replace(selection, where=parse_search_filter(query.filter, f"{path}.filter", budget))
    if query.query_embedding is None:
        if query.within is not None:
            raise InvalidArgument(f"{path}: within needs a query_embedding")
        return selection
    embeddings.check_query(query.query_embedding, f"{path}.query_embedding")
    return Neighborhood(selection, embeddings.to_queries([query.query_embedding])[0], query.within)


def check_bounds(context: AppContext, transactions: Sequence[Transaction]) -> None:
    """Bound the parts of one commit together. Raises LimitExceeded."""
    operations = [operation for one in transactions for operation in one.operations]
    records = sum(len(operation.ids) for operation in operations if isinstance(operation, Batch))
    predicates = sum(len(one.filters) + len(one.neighborhoods) for one in transactions)
    for name, size, limit in (
        ("operations", len(operations), MAX_OPERATIONS),
        ("records", records, context.settings.max_batch_size),
        ("read_ids", sum(len(one.read_ids) for one in transactions), MAX_READ_IDS),
        ("read_filters and read_queries", predicates, MAX_READ_FILTERS),
    ):
        if size > limit:
            raise LimitExceeded(f"a transaction with {size} {name} exceeds the limit of {limit}: split it")


def committed(scope: Scope, result: CommitResult) -> dict[str, int | None]:
    """The fields of a commit's response. A log position counts the writes of others, so a restriction hides it."""
    position = result.position if scope.restriction is None else None
    return {"first_inserted_record_offset": position, "record_count": result.records}
