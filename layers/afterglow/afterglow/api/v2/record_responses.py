"""Encodes the engine's results as response bodies, with as little copying as orjson allows."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from afterglow.collection.types import QueryResult, Records

if TYPE_CHECKING:
    from afterglow.collection.read.ranked_search import SearchResult


Explain = dict[str, Any]
"""How the read was executed, see `v2.explain`."""

_NOTHING_MORE: Mapping[str, Any] = {}
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_ALL_METADATA, _SCORE = "#metadata", "#score"


def get_body(
    records: Records, include: Sequence[str], explain: Explain | None = None, more: Mapping[str, Any] = _NOTHING_MORE
) -> bytes:
    """The body of a get response, with `more` fields, and the field `explain` if there is one."""
    body = {
        **more,
        "ids": records.ids,
        "embeddings": _embeddings(records),
        "documents": records.documents,
        "uris": records.uris,
        "metadatas": _metadatas(records),
    }
    return _with_include(body, include, explain)


def query_body(
    results: Sequence[QueryResult],
    include: Sequence[str],
    explain: Explain | None = None,
    more: Mapping[str, Any] = _NOTHING_MORE,
) -> bytes:
    """The body of a query response: one list per query vector; `more` and `explain` as in `get_body`."""
    body: dict[str, Any] = {**more, "ids": [result.records.ids for result in results]}
    for name, column in _QUERY_COLUMNS.items():
        body[name] = list(map(column, results)) if name in include else None
    return _with_include(body, include, explain)


def search_body(
    results: "Sequence[SearchResult]",
    selected: Sequence[list[str]],
    explain: Explain | None = None,
    more: Mapping[str, Any] = _NOTHING_MORE,
) -> bytes:
    """The body of a search response; `selected` holds the sorted keys of each search."""
    hits = [result.records for result in results]
    pairs = list(zip(hits, selected, strict=True))
    body: dict[str, Any] = {
        **more,
        "ids": [records.ids for records in hits],
        "documents": [records.documents for records in hits],
        "embeddings": [_embeddings(records) for records in hits],
        "metadatas": [
            _metadatas(records) if _ALL_METADATA in keys else _metadata_fields(records, keys) for records, keys in pairs
        ],
        "scores": [
            np.ascontiguousarray(result.scores) if _SCORE in keys else None
            for result, keys in zip(results, selected, strict=True)
        ],
        "select": selected,
    }
    if explain is not None:
        body["explain"] = explain
    return orjson.dumps(body, option=_OPTIONS)


def _with_include(body: dict[str, Any], include: Sequence[str], explain: Explain | None) -> bytes:
    if explain is not None:
        body["explain"] = explain
    # v1 rewrites the end of the body: `include` must be the last field.
    body["include"] = include
    return orjson.dumps(body, option=_OPTIONS)


def _metadata_fields(records: Records, keys: Sequence[str]) -> list[dict[str, Any] | None] | None:
    """Each record's metadata reduced to these keys, None for a record without any of them.

    The work depends on the metadata, not on the number of keys.
    """
    if records.metadatas is None:
        return None
    selected = frozenset(keys)
    metadatas = ({} if encoded is None else orjson.loads(encoded) for encoded in records.metadatas)
    return [{key: metadata[key] for key in sorted(metadata) if key in selected} or None for metadata in metadatas]


def _embeddings(records: Records) -> Any:
    return None if records.embeddings is None else np.ascontiguousarray(records.embeddings)


def _metadatas(records: Records) -> list[orjson.Fragment | None] | None:
    if records.metadatas is None:
        return None
    return [None if encoded is None else orjson.Fragment(encoded) for encoded in records.metadatas]


_QUERY_COLUMNS: dict[str, Callable[[QueryResult], Any]] = {
    "embeddings": lambda result: _embeddings(result.records),
    "documents": lambda result: result.records.documents,
    "uris": lambda result: result.records.uris,
    "metadatas": lambda result: _metadatas(result.records),
    "distances": lambda result: np.ascontiguousarray(result.distances),
}
"""The fields of a query response that may be included, in order."""
