"""From what the engine found to the body of the answer, with as little copying as orjson allows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from afterglow.collection.model import Hits, Include, Records

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def got(records: Records, include: Sequence[str]) -> bytes:
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


def found(hits: Sequence[Hits], include: Sequence[str]) -> bytes:
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


def _embeddings(records: Records) -> Any:
    return None if records.embeddings is None else np.ascontiguousarray(records.embeddings)


def _metadatas(records: Records) -> list[orjson.Fragment | None] | None:
    if records.metadatas is None:
        return None
    return [None if each is None else orjson.Fragment(each) for each in records.metadatas]
