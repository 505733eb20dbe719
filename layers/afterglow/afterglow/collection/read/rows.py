"""Which rows of a view a selection means: one mask per part."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica import ttl_filter
from afterglow.collection.replica.replica import Snapshot
from afterglow.collection.types import Include, Records, Selection
from afterglow.columns.string_column import StringColumn
from afterglow.filters.evaluate import evaluate
from afterglow.segment.reader import Mask
from afterglow.segment.row_group import RowGroup


def selection_masks(view: Snapshot, selection: Selection, named: Sequence[str] = ()) -> list[Mask | None]:
    """For each part of the view the rows that live, have not expired and satisfy the selection.

    None where that is every row.

    A selection by ids needs a view that was asked with them, one whose filters name ids a view that was asked with
    `named`: all that are named, each once.
    """
    chosen: list[Mask | None] = []
    expiry = view.expiry
    for index, live in enumerate(view.row_groups):
        dead = ttl_filter.excluded_rows(live, expiry)
        mask = None if dead is None else ~dead
        if selection.ids is not None and view.locations is not None:
            asked = np.zeros(live.rows.rows, dtype=np.bool_)
            asked[view.locations.rows[view.locations.groups == index]] = True
            mask = asked if mask is None else mask & asked
        for condition in (selection.where, selection.where_document):
            if condition is not None and (mask is None or mask.any()):
                rows_of = _rows_of(view, index, named)
                mask = evaluate(condition, live.rows.columns, live.rows.documents, mask, rows_of)
        chosen.append(mask)
    return chosen


def _rows_of(view: Snapshot, index: int, named: Sequence[str]) -> dict[str, int]:
    """The rows of those of the ids whose records are in this part."""
    if view.locations is None or not named:
        return {}
    here = np.flatnonzero(view.locations.groups == index).tolist()
    rows = view.locations.rows[here].tolist()
    return {named[each]: row for each, row in zip(here, rows, strict=True)}


def in_insertion_order(
    view: Snapshot, chosen: list[Mask | None], offset: int = 0, limit: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Part index and row, int64 (n,) each, of the chosen rows in insertion order, `limit` of them after `offset`."""
    rows = [
        np.arange(live.rows.rows) if mask is None else np.flatnonzero(mask)
        for live, mask in zip(view.row_groups, chosen, strict=True)
    ]
    if not rows:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    ordinals = np.concatenate([live.rows.row_seqs[some] for live, some in zip(view.row_groups, rows, strict=True)])
    parts = np.repeat(np.arange(len(rows)), [len(some) for some in rows])
    end = len(ordinals) if limit is None else min(offset + limit, len(ordinals))
    if end < len(ordinals):
        first = np.argpartition(ordinals, end)[:end]
        order = first[np.argsort(ordinals[first])][offset:]
    else:
        order = np.argsort(ordinals)[offset:end]
    return parts[order], np.concatenate(rows)[order]


def materialize(
    view: Snapshot, parts: NDArray[np.int64], rows: NDArray[np.int64], include: frozenset[Include]
) -> Records:
    """The records at these part indexes and rows, in that order."""

    def texts(of: Callable[[RowGroup], StringColumn]) -> list[bytes | None]:
        return _strings(view, parts, rows, of)

    def decoded(of: Callable[[RowGroup], StringColumn]) -> list[str | None]:
        return [None if each is None else each.decode() for each in texts(of)]

    return Records(
        ids=[(each or b"").decode() for each in texts(lambda part: part.ids)],
        embeddings=_vectors(view, parts, rows) if Include.EMBEDDINGS in include else None,
        documents=decoded(lambda part: part.documents) if Include.DOCUMENTS in include else None,
        metadatas=texts(lambda part: part.metadatas) if Include.METADATAS in include else None,
        uris=decoded(lambda part: part.uris) if Include.URIS in include else None,
        position=view.applied_seq,
    )


def _strings(
    view: Snapshot, parts: NDArray[np.int64], rows: NDArray[np.int64], of: Callable[[RowGroup], StringColumn]
) -> list[bytes | None]:
    present = _present(parts)
    if len(present) == 1:
        return of(view.row_groups[present[0]].rows).take(rows)
    found: list[bytes | None] = [None] * len(rows)
    for index in present:
        places = np.flatnonzero(parts == index)
        for place, text in zip(places.tolist(), of(view.row_groups[index].rows).take(rows[places]), strict=True):
            found[place] = text
    return found


def _vectors(view: Snapshot, parts: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    dimension = view.row_groups[0].rows.vectors.shape[1] if view.row_groups else 0
    found = np.empty((len(rows), dimension), dtype=np.float32)
    for index in _present(parts):
        places = np.flatnonzero(parts == index)
        found[places] = view.row_groups[index].rows.vectors[rows[places]]
    return found


def _present(parts: NDArray[np.int64]) -> list[int]:
    """The part indexes that occur, ascending; a count is several times faster than `np.unique`."""
    return np.flatnonzero(np.bincount(parts)).tolist()
