"""Which rows of a view a selection means: one mask per part."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica import ttl_filter
from afterglow.collection.replica.replica import View
from afterglow.collection.types import Include, Records, Selection
from afterglow.columns.string_column import Texts
from afterglow.filters.evaluate import evaluate
from afterglow.segment.reader import Mask
from afterglow.segment.row_group import Part


def masks(view: View, selection: Selection, named: Sequence[str] = ()) -> list[Mask | None]:
    """For each part of the view the rows that live, have not expired and satisfy the selection.

    None where that is every row.

    A selection by ids needs a view that was asked with them, one whose filters name ids a view that was asked with
    `named`: all that are named, each once.
    """
    chosen: list[Mask | None] = []
    expiry = view.expiry
    for index, live in enumerate(view.parts):
        dead = ttl_filter.dead_in(live, expiry)
        mask = None if dead is None else ~dead
        if selection.ids is not None and view.located is not None:
            asked = np.zeros(live.part.rows, dtype=np.bool_)
            asked[view.located.rows[view.located.parts == index]] = True
            mask = asked if mask is None else mask & asked
        for condition in (selection.where, selection.where_document):
            if condition is not None and (mask is None or mask.any()):
                rows_of = _rows_of(view, index, named)
                mask = evaluate(condition, live.part.columns, live.part.documents, mask, rows_of)
        chosen.append(mask)
    return chosen


def _rows_of(view: View, index: int, named: Sequence[str]) -> dict[str, int]:
    """The rows of those of the ids whose records are in this part."""
    if view.located is None or not named:
        return {}
    here = np.flatnonzero(view.located.parts == index).tolist()
    rows = view.located.rows[here].tolist()
    return {named[each]: row for each, row in zip(here, rows, strict=True)}


def in_insertion_order(
    view: View, chosen: list[Mask | None], offset: int = 0, limit: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Part index and row, int64 (n,) each, of the chosen rows in insertion order, `limit` of them after `offset`."""
    rows = [
        np.arange(live.part.rows) if mask is None else np.flatnonzero(mask)
        for live, mask in zip(view.parts, chosen, strict=True)
    ]
    if not rows:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    ordinals = np.concatenate([live.part.ordinals[some] for live, some in zip(view.parts, rows, strict=True)])
    parts = np.repeat(np.arange(len(rows)), [len(some) for some in rows])
    end = len(ordinals) if limit is None else min(offset + limit, len(ordinals))
    if end < len(ordinals):
        first = np.argpartition(ordinals, end)[:end]
        order = first[np.argsort(ordinals[first])][offset:]
    else:
        order = np.argsort(ordinals)[offset:end]
    return parts[order], np.concatenate(rows)[order]


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
