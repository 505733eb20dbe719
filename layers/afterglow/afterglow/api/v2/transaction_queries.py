"""Handlers of queries and searches in transactions, which are ours.

The response is that of the plain call, the `read_token`, and `read_queries`: for each query or search what it depends
on, to be sent back with the commit. For the k nearest, that is their neighborhood, up to the distance of the k-th, or
`within` if that is less; of any distance if there are fewer than k. For a search with another rank, it is all records
that its filter selects.
"""

from typing import Any

import numpy as np

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.usage_header import add_attributes
from afterglow.api.v2 import read_tokens, record_requests, record_responses
from afterglow.api.v2 import search as searches
from afterglow.api.v2.collection_first import collection_first
from afterglow.api.v2.records import with_log_position
from afterglow.api.validation import json_body
from afterglow.api.validation.rank_parser import RankParser
from afterglow.collection.read.ranked_search import SearchResult
from afterglow.collection.read.search_request import DenseKnn, Search, has_texts, reranks
from afterglow.collection.write.read_predicates import limit_of
from afterglow.metering import phase
from afterglow.ranking.ast import KnnScore


def query(context: AppContext, request: Request) -> Response | Deferred:
    """The records nearest to each vector or text, in the snapshot of the transaction."""
    with phase("parse"):
        body = json_body.parse(models.ConditionalQuery, request.body)
    scope = request_params.scope(request)
    with phase("parse"), collection_first(context, scope):
        selection = record_requests.selection(body, record_requests.filter_budget(context.settings))
        given = record_requests.queries(body, context.settings.max_query_vectors)
        position = read_tokens.position_of(context, scope, body.read_token)
    k = record_requests.DEFAULT_RESULTS if body.n_results is None else body.n_results

    def run() -> Response:
        with phase("handle"), np.errstate(over="ignore", invalid="ignore"):
            vectors = given if isinstance(given, np.ndarray) else context.engine.embed_queries(scope, given)
            hits = context.engine.find_in_transaction(
                scope,
                vectors,
                k,
                selection,
                record_requests.include(body.include),
                position=position,
                exact=body.exact,
            )
            results = hits.read()
        add_attributes(queries=len(hits.counts), rows=len(hits.distances))
        filters = {name: getattr(body, name) for name in ("ids", "where", "where_document")}
        read = [
            {"query_embedding": vector, "within": limit_of(result.distances, k, body.within), **filters}
            for vector, result in zip(vectors, results, strict=True)
        ]
        token = read_tokens.encode(context, scope, hits.position, body.read_token)
        with phase("render"):
            more = {"read_token": token, "read_queries": read}
            return with_log_position(record_responses.query_body(results, body.include, more=more), hits.position)

    return run() if isinstance(given, np.ndarray) else Deferred(run, embeds=True)


def search(context: AppContext, request: Request) -> Response | Deferred:
    """Several ranked searches, in the snapshot of the transaction."""
    with phase("parse"):
        body = json_body.parse(models.ConditionalSearch, request.body)
        rank_parser = RankParser()
        parsed = searches.parse_searches(body.searches, rank_parser, record_requests.filter_budget(context.settings))
    scope = request_params.scope(request)
    with phase("parse"), collection_first(context, scope):
        searches.check_searches(body.searches, rank_parser)
        position = read_tokens.position_of(context, scope, body.read_token)

    def run() -> Response:
        with phase("handle"), np.errstate(over="ignore", invalid="ignore"):
            embedded, hits, at = context.engine.find_ranked_in_transaction(
                scope, parsed, position=position, exact=body.exact
            )
            results = [page.read() for page in hits]
        add_attributes(queries=len(results), rows=sum(len(result.scores) for result in results))
        read = [
            _read_query(one, result, given.filter)
            for one, result, given in zip(embedded, results, body.searches, strict=True)
        ]
        token = read_tokens.encode(context, scope, at, body.read_token)
        with phase("render"):
            selected = [searches.selected(one) for one in body.searches]
            more = {"read_token": token, "read_queries": read}
            return with_log_position(record_responses.search_body(results, selected, more=more), at)

    return Deferred(run, embeds=True) if has_texts(parsed) or reranks(parsed) else run()


def _read_query(search: Search, result: SearchResult, given_filter: Any) -> dict[str, Any]:
    """What a search depends on."""
    rank = search.rank
    is_nearest = isinstance(rank, KnnScore) and rank.default is None and not rank.by_rank and search.groups is None
    if not is_nearest or not isinstance(search.knn[0], DenseKnn):
        return {"filter": given_filter}
    knn, count = search.knn[0], len(result.scores)
    is_full = search.offset + count == knn.limit or count == search.limit
    within = limit_of(result.scores, count if is_full else 0)
    return {"query_embedding": knn.query, "within": within, "filter": given_filter}
