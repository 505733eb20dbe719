"""The handler of searches: parses the body, runs the searches, encodes the response.

The order of checks is Chroma's: the schema of every search (422), the collection (404), everything else (400).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.usage_header import add_attributes
from afterglow.api.v2 import adaptive, record_requests, record_responses
from afterglow.api.v2.explain import check_allowed, explained
from afterglow.api.v2.records import with_log_position
from afterglow.api.validation import json_body
from afterglow.api.validation.rank_parser import Knn, RankParser
from afterglow.collection.read.explanation import Explanation
from afterglow.collection.read.ranked_search import RankedHits, SearchResult
from afterglow.collection.read.search_request import GroupBy, Search, has_texts, reranks
from afterglow.collection.types import Include, ReadLevel
from afterglow.errors import InvalidArgument
from afterglow.filters.ast import Filter
from afterglow.filters.budget import FilterBudget
from afterglow.filters.parse import parse_filter
from afterglow.metering import phase
from afterglow.ranking import Rank

MAX_SEARCHES = 256
_SCORE, _METADATA = "#score", "#metadata"
_FIELDS = {"#document": Include.DOCUMENTS, "#embedding": Include.EMBEDDINGS, _METADATA: Include.METADATAS}
_NO_METADATA = frozenset({*_FIELDS, _SCORE, "#id"}) - {_METADATA}
"""Selected keys that need no metadata; ids are always returned."""


def search(context: AppContext, request: Request) -> Response | Deferred:
    """Several ranked searches."""
    settings = context.settings
    return adaptive.respond(
        request,
        lambda: _SearchRequest(context, request, record_requests.cheap_filter_budget(settings)),
        lambda: _SearchRequest(context, request, record_requests.filter_budget(settings)),
        # Whether a text is in a body that is not parsed is not known; in a large one it is likely.
        may_embed=True,
    )


class _SearchRequest:
    """Searches that match the schema.

    Raises InvalidBody and LimitExceeded, then NotFound, then InvalidArgument for a wrong value.
    """

    def __init__(self, context: AppContext, request: Request, budget: FilterBudget) -> None:
        self._engine = context.engine
        with phase("parse"):
            body = json_body.parse(models.SearchRecords, request.body)
            rank_parser = RankParser()
            self._searches = parse_searches(body.searches, rank_parser, budget)
        check_allowed(request, explain=body.explain)
        self._selected = [selected(search) for search in body.searches]
        self._level = ReadLevel(body.read_level)
        self._explain = body.explain
        self._at = request_params.parse_at(request)
        self._scope = request_params.scope(request)
        try:
            check_searches(body.searches, rank_parser)
        except InvalidArgument:
            self._engine.get_collection_by_id(self._scope)
            raise

    @property
    def embeds(self) -> bool:
        """Whether a model is needed: for a text, or to rerank."""
        return has_texts(self._searches) or reranks(self._searches)

    def is_cheap(self) -> bool:
        """Whether the searches take at most about a millisecond."""
        return not self._explain and self._engine.can_search_inline(self._scope, self._searches, self._at)

    def respond(self) -> Response:
        """Run the searches, read the records and encode them. Raises LimitExceeded, ResponseTooLarge."""
        if not self._explain:
            return self.encode(self.find())
        results, explain = explained(lambda explanation: self._read(self.find(explanation)))
        return self._render(results, explain)

    def find(self, explanation: Explanation | None = None) -> list[RankedHits]:
        """Run the searches. Raises LimitExceeded, ResponseTooLarge."""
        # Vectors of extreme components have distances beyond float32; the response holds null for them.
        with phase("handle"), np.errstate(over="ignore", invalid="ignore"):
            hits = self._engine.find_ranked(self._scope, self._searches, self._level, self._at, explanation)
        add_attributes(queries=len(hits), rows=sum(len(page.scores) for page in hits))
        return hits

    def byte_size(self, found: Sequence[RankedHits]) -> int:
        """The estimated size of the records."""
        return sum(page.byte_size for page in found)

    def encode(self, found: Sequence[RankedHits]) -> Response:
        """Read the records and encode them."""
        return self._render(self._read(found))

    def _read(self, hits: Sequence[RankedHits]) -> list[SearchResult]:
        with phase("handle"):
            return [page.read() for page in hits]

    def _render(self, results: Sequence[SearchResult], explain: dict[str, Any] | None = None) -> Response:
        with phase("render"):
            position = results[0].records.position if results else None
            return with_log_position(record_responses.search_body(results, self._selected, explain), position)


def parse_searches(searches: Sequence[models.Search], rank_parser: RankParser, budget: FilterBudget) -> list[Search]:
    """The searches, whose values are still to be checked. Raises InvalidBody, LimitExceeded."""
    return [_parse_search(search, f"searches[{index}]", rank_parser, budget) for index, search in enumerate(searches)]


def check_searches(searches: Sequence[models.Search], rank_parser: RankParser) -> None:
    """Check the values of searches that were parsed. Raises InvalidArgument."""
    if len(searches) > MAX_SEARCHES:
        raise InvalidArgument(
            f"Validation error: searches: a request may have {MAX_SEARCHES} searches, got {len(searches)}"
        )
    for index, search in enumerate(searches):
        _check_groups(search, f"searches[{index}].group_by")
    rank_parser.raise_errors()


def selected(search: models.Search) -> list[str]:
    """The keys of the fields that a search returns, sorted."""
    return [] if search.select is None else sorted(set(search.select.keys))


def _parse_search(search: models.Search, path: str, rank_parser: RankParser, budget: FilterBudget) -> Search:
    # In the order of the schema errors: filter, groups, rank.
    search_filter = parse_search_filter(search.filter, f"{path}.filter", budget)
    groups = _groups(search, f"{path}.group_by")
    rank: Rank | None = None
    knn: Sequence[Knn] = ()
    reranked: Sequence[str] = ()
    if search.rank is not None:
        if type(search.rank) is not dict:
            raise json_body.type_error(f"{path}.rank", search.rank, "a map")
        if search.rank:
            rank, knn, reranked = rank_parser.parse(search.rank, f"{path}.rank")
    page = search.limit or models.SearchLimit()
    return Search(
        filter=search_filter,
        rank=rank,
        knn=tuple(knn),
        reranks=tuple(reranked),
        groups=groups,
        offset=page.offset,
        limit=page.limit,
        include=_include(selected(search)),
    )


def parse_search_filter(value: Any, path: str, budget: FilterBudget) -> Filter | None:
    """The filter of a search. Raises InvalidBody, LimitExceeded."""
    if value is None or value == {}:
        return None
    try:
        return parse_filter(value, budget)
    except InvalidArgument as error:
        raise json_body.schema_error(path, error.message) from None


def _groups(search: models.Search, path: str) -> GroupBy | None:
    groups = search.group_by
    if groups is None or groups.aggregate is None:
        return None
    variants = [top_k for top_k in (groups.aggregate.min_k, groups.aggregate.max_k) if top_k is not None]
    if len(variants) != 1:
        raise json_body.schema_error(f"{path}.aggregate", "expected a map with a single key, `$min_k` or `$max_k`")
    top_k = variants[0]
    sort_keys = tuple(None if key == _SCORE else key for key in top_k.keys)
    return GroupBy(tuple(groups.keys), sort_keys, top_k.k, largest=groups.aggregate.max_k is not None)


def _include(keys: list[str]) -> frozenset[Include]:
    fields = {_FIELDS[key] for key in keys if key in _FIELDS}
    return frozenset(fields | ({Include.METADATAS} if not _NO_METADATA.issuperset(keys) else set()))


def _check_groups(search: models.Search, path: str) -> None:
    groups = search.group_by
    if groups is None or (not groups.keys and groups.aggregate is None):
        return
    aggregate = groups.aggregate
    top_k = None if aggregate is None else aggregate.min_k or aggregate.max_k
    problem = None
    if not groups.keys or top_k is None:
        problem = "group_by keys and aggregate must both be specified or both be omitted"
    elif any(key in _FIELDS or key == _SCORE for key in groups.keys):
        problem = "group_by keys must be metadata fields (cannot use #score, #document, #embedding, or #metadata)"
    elif not top_k.keys:
        problem = "aggregate keys must not be empty"
    elif top_k.k == 0:
        problem = "aggregate k must be greater than 0"
    elif any(key in _FIELDS for key in top_k.keys):
        problem = "aggregate keys must be metadata fields or #score (cannot use #document, #embedding, or #metadata)"
    elif not search.rank:
        problem = "group_by requires rank expression to be specified"
    if problem is not None:
        raise InvalidArgument(f"Validation error: {path}: {problem}")
