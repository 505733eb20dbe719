"""From what the engine found to the body of the answer, with as little copying as orjson allows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from afterglow.collection.read.ranked_search import SearchResult
from afterglow.collection.types import Include, QueryResult, Records

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_ALL_METADATA, _SCORE = "#metadata", "#score"


def get_body(records: Records, include: Sequence[str]) -> bytes:
    """The answer to a get."""
    return orjson.dumps(
        {
            "ids": records.ids,
            "embeddings": _embeddings(records),
            "documents": records.documents,
            "uris": records.uris,
            "metadatas": _metadatas(records),
            "include": include,
        },
        option=_OPTIONS,
    )


def query_body(hits: Sequence[QueryResult], include: Sequence[str]) -> bytes:
    """The answer to a query: one list per query vector."""
    records = [each.records for each in hits]
    columns: dict[Include, list[Any]] = {
        Include.EMBEDDINGS: [_embeddings(each) for each in records],
        Include.DOCUMENTS: [each.documents for each in records],
        Include.URIS: [each.uris for each in records],
        Include.METADATAS: [_metadatas(each) for each in records],
        Include.DISTANCES: [np.ascontiguousarray(each.distances) for each in hits],
    }
    answer: dict[str, Any] = {"ids": [each.ids for each in records]}
    answer |= {name.value: column if name.value in include else None for name, column in columns.items()}
    answer["include"] = include
    return orjson.dumps(answer, option=_OPTIONS)


def search_body(found: Sequence[SearchResult], selected: Sequence[list[str]]) -> bytes:
    """The answer to searches; `selected` has the sorted keys of each."""
    records = [each.records for each in found]
    pairs = list(zip(records, selected, strict=True))
    return orjson.dumps(
        {
            "ids": [each.ids for each in records],
            "documents": [each.documents for each in records],
            "embeddings": [_embeddings(each) for each in records],
            "metadatas": [_metadatas(each) if _ALL_METADATA in keys else _fields(each, keys) for each, keys in pairs],
            "scores": [
                np.ascontiguousarray(each.scores) if _SCORE in keys else None
                for each, keys in zip(found, selected, strict=True)
            ],
            "select": selected,
        },
        option=_OPTIONS,
    )


def _fields(records: Records, keys: Sequence[str]) -> list[dict[str, Any] | None] | None:
    """Of each record's metadata these keys alone, None where it has none of them."""
    if records.metadatas is None:
        return None
    whole = ({} if each is None else orjson.loads(each) for each in records.metadatas)
    return [{key: each[key] for key in keys if key in each} or None for each in whole]


def _embeddings(records: Records) -> Any:
    return None if records.embeddings is None else np.ascontiguousarray(records.embeddings)


def _metadatas(records: Records) -> list[orjson.Fragment | None] | None:
    if records.metadatas is None:
        return None
    return [None if each is None else orjson.Fragment(each) for each in records.metadatas]
