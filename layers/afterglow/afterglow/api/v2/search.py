"""The handler of searches: what the body asks for, and how the answer is written.

The shape of every search is judged first (422), then whether the collection is there, then everything else (400).
"""

from collections.abc import Sequence

import numpy as np

from afterglow.api import models
from afterglow.api.http import request_params
from afterglow.api.http.handler import AppContext, Deferred, Request, Response
from afterglow.api.http.usage_header import note
from afterglow.api.v2 import record_responses
from afterglow.api.v2.records import positioned
from afterglow.api.validation import json_body
from afterglow.api.validation.rank_parser import RankParser
from afterglow.collection.read.ranked_search import DenseKnn, GroupBy, Search, SparseKnn
from afterglow.collection.types import Include, ReadLevel
from afterglow.errors import InvalidArgument
from afterglow.filters.ast import Filter
from afterglow.filters.parse import parse_filter
from afterglow.metering import phase
from afterglow.ranking import Rank

MAX_SEARCHES = 256
_CHEAP_BODY_BYTES = 64 * 1024
_SCORE, _METADATA = "#score", "#metadata"
_FIELDS = {"#document": Include.DOCUMENTS, "#embedding": Include.EMBEDDINGS, _METADATA: Include.METADATAS}
_NO_METADATA = frozenset({*_FIELDS, _SCORE, "#id"}) - {_METADATA}
"""Selected keys that need no metadata; ids are always answered."""


def search(service: AppContext, call: Request) -> Response | Deferred:
    """Several ranked searches."""
    if len(call.body) > _CHEAP_BODY_BYTES:
        return Deferred(lambda: _SearchRequest(service, call).answer())
    asked = _SearchRequest(service, call)
    return asked.answer() if asked.is_cheap() else Deferred(asked.answer)


class _SearchRequest:
    """Searches of good shape. Raises InvalidArgument, Malformed, and NotFound before a wrong value."""

    def __init__(self, service: AppContext, call: Request) -> None:
        self._engine = service.engine
        with phase("parse"):
            request = json_body.parse(models.SearchRecords, call.body)
            ranks = RankParser()
            self._searches = [_parsed(each, f"searches[{at}]", ranks) for at, each in enumerate(request.searches)]
        self._selected = [_selected(each) for each in request.searches]
        self._level = ReadLevel(request.read_level)
        self._at = request_params.parse_at(call)
        self._scope = request_params.scope(call)
        try:
            _refuse_too_many(request)
            for at, each in enumerate(request.searches):
                _check_groups(each, f"searches[{at}].group_by")
            ranks.raise_errors()
        except InvalidArgument:
            self._engine.get_collection_by_id(self._scope)
            raise

    def is_cheap(self) -> bool:
        """Whether the answer takes about a millisecond."""
        return self._engine.can_search_inline(self._scope, self._searches, self._at)

    def answer(self) -> Response:
        """Search and render."""
        # Distances beyond float32 are the client's doing; they go out as null.
        with phase("handle"), np.errstate(over="ignore", invalid="ignore"):
            found = self._engine.search(self._scope, self._searches, self._level, self._at)
        note(queries=len(found), rows=sum(len(each.scores) for each in found))
        with phase("render"):
            position = found[0].records.position if found else None
            return positioned(record_responses.search_body(found, self._selected), position)


def _parsed(search: models.Search, path: str, ranks: RankParser) -> Search:
    filtered = _filter(search, f"{path}.filter")
    groups = _groups(search, f"{path}.group_by")
    rank: Rank | None = None
    nearest: Sequence[DenseKnn | SparseKnn] = ()
    if search.rank is not None:
        if type(search.rank) is not dict:
            raise json_body.type_error(f"{path}.rank", search.rank, "a map")
        if search.rank:
            rank, nearest = ranks.parse(search.rank, f"{path}.rank")
    page = search.limit or models.SearchLimit()
    return Search(
        filter=filtered,
        rank=rank,
        knn=tuple(nearest),
        groups=groups,
        offset=page.offset,
        limit=page.limit,
        include=_include(_selected(search)),
    )


def _filter(search: models.Search, path: str) -> Filter | None:
    if search.filter is None or search.filter == {}:
        return None
    try:
        return parse_filter(search.filter)
    except InvalidArgument as error:
        raise json_body.schema_error(path, error.message) from None


def _groups(search: models.Search, path: str) -> GroupBy | None:
    groups = search.group_by
    if groups is None or groups.aggregate is None:
        return None
    kept = [each for each in (groups.aggregate.min_k, groups.aggregate.max_k) if each is not None]
    if len(kept) != 1:
        raise json_body.schema_error(f"{path}.aggregate", "expected a map with a single key, `$min_k` or `$max_k`")
    by = tuple(None if each == _SCORE else each for each in kept[0].keys)
    return GroupBy(tuple(groups.keys), by, kept[0].k, largest=groups.aggregate.max_k is not None)


def _selected(search: models.Search) -> list[str]:
    return [] if search.select is None else sorted(set(search.select.keys))


def _include(selected: list[str]) -> frozenset[Include]:
    fields = {_FIELDS[each] for each in selected if each in _FIELDS}
    return frozenset(fields | ({Include.METADATAS} if not _NO_METADATA.issuperset(selected) else set()))


def _refuse_too_many(request: models.SearchRecords) -> None:
    if len(request.searches) > MAX_SEARCHES:
        raise InvalidArgument(
            f"Validation error: searches: a call may have {MAX_SEARCHES} searches, got {len(request.searches)}"
        )


def _check_groups(search: models.Search, path: str) -> None:
    groups = search.group_by
    if groups is None or (not groups.keys and groups.aggregate is None):
        return
    aggregate = groups.aggregate
    kept = None if aggregate is None else aggregate.min_k or aggregate.max_k
    fault = None
    if not groups.keys or kept is None:
        fault = "group_by keys and aggregate must both be specified or both be omitted"
    elif any(each in _FIELDS or each == _SCORE for each in groups.keys):
        fault = "group_by keys must be metadata fields (cannot use #score, #document, #embedding, or #metadata)"
    elif not kept.keys:
        fault = "aggregate keys must not be empty"
    elif kept.k == 0:
        fault = "aggregate k must be greater than 0"
    elif any(each in _FIELDS for each in kept.keys):
        fault = "aggregate keys must be metadata fields or #score (cannot use #document, #embedding, or #metadata)"
    elif not search.rank:
        fault = "group_by requires rank expression to be specified"
    if fault is not None:
        raise InvalidArgument(f"Validation error: {path}: {fault}")
