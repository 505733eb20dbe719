"""Handler of commits of several collections of one database."""

import orjson

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.usage_header import add_attributes
from afterglow.api.v2 import read_tokens, record_requests, transactions
from afterglow.api.v2.collection_first import collection_first
from afterglow.api.validation import json_body
from afterglow.catalog.names import parse_collection_id
from afterglow.errors import InvalidArgument
from afterglow.metering import phase


def commit(context: AppContext, request: Request) -> Response | Deferred:
    """Commit a transaction: all operations in all collections, or none if what it has read was written since."""
    with phase("parse"):
        body = json_body.parse(models.JointCommit, request.body)
        operations = [[transactions.to_operations(one) for one in part.operations] for part in body.collections]
    tenant, database = request_params.tenant_and_database(request)
    ids = [parse_collection_id(part.collection_id) for part in body.collections]
    if len(set(ids)) < len(ids):
        raise InvalidArgument("collections: a collection can be named only once")
    scopes = [request_params.collection_scope(request, tenant, database, one) for one in ids]

    parts = []
    budget = record_requests.filter_budget(context.settings)
    for scope, part, given in zip(scopes, body.collections, operations, strict=True):
        with phase("parse"), collection_first(context, scope):
            parsed = [to_operation(budget) for to_operation, _ in given]
            position = read_tokens.position_of(context, scope, part.read_token)
            nonce = read_tokens.check_nonce(request, body.nonce)
            parts.append((scope, transactions.to_transaction(part, parsed, budget, position, nonce)))
    transactions.check_bounds(context, [transaction for _, transaction in parts])

    def write() -> Response:
        with phase("handle"):
            results = context.engine.commit_together(parts)
        add_attributes(rows=sum(result.records for result in results))
        collections = [
            {"collection_id": str(scope.collection), **transactions.committed(scope, result)}
            for scope, result in zip(scopes, results, strict=True)
        ]
        written = zip(scopes, results, strict=True)
        delay = max(context.engine.slowdown_seconds(scope, result.records) for scope, result in written)
        return Response(orjson.dumps({"collections": collections}), delay_seconds=delay)

    return Deferred(write, embeds=True) if any(embeds for given in operations for _, embeds in given) else write()
