"""From rows to records: reading only the fields that were asked for."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.model import Include, Records
from afterglow.collection.replica import View
from afterglow.columns.texts import Texts
from afterglow.segment.part import Part


def records(view: View, parts: NDArray[np.int64], rows: NDArray[np.int64], include: frozenset[Include]) -> Records:
    """The records at these part indexes and rows, in that order."""

    def texts(of: Callable[[Part], Texts]) -> list[bytes | None]:
        return _texts(view, parts, rows, of)

    def decoded(of: Callable[[Part], Texts]) -> list[str | None]:
        return [None if each is None else each.decode() for each in texts(of)]

    return Records(
        ids=[(each or b"").decode() for each in texts(lambda part: part.ids)],
        embeddings=_vectors(view, parts, rows) if Include.EMBEDDINGS in include else None,
        documents=decoded(lambda part: part.documents) if Include.DOCUMENTS in include else None,
        metadatas=texts(lambda part: part.metadatas) if Include.METADATAS in include else None,
        uris=decoded(lambda part: part.uris) if Include.URIS in include else None,
        position=view.applied,
    )


def _texts(
    view: View, parts: NDArray[np.int64], rows: NDArray[np.int64], of: Callable[[Part], Texts]
) -> list[bytes | None]:
    present = _present(parts)
    if len(present) == 1:
        return of(view.parts[present[0]].part).fetch(rows)
    found: list[bytes | None] = [None] * len(rows)
    for index in present:
        places = np.flatnonzero(parts == index)
        for place, text in zip(places.tolist(), of(view.parts[index].part).fetch(rows[places]), strict=True):
            found[place] = text
    return found


def _vectors(view: View, parts: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    dimension = view.parts[0].part.vectors.shape[1] if view.parts else 0
    found = np.empty((len(rows), dimension), dtype=np.float32)
    for index in _present(parts):
        places = np.flatnonzero(parts == index)
        found[places] = view.parts[index].part.vectors[rows[places]]
    return found


def _present(parts: NDArray[np.int64]) -> list[int]:
    """The part indexes that occur, ascending; a count is several times faster than `np.unique`."""
    return np.flatnonzero(np.bincount(parts)).tolist()
