"""Which rows of a view a selection means: one mask per part."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afterglow.collection import expired
from afterglow.collection.model import Selection
from afterglow.collection.replica import View
from afterglow.filters.evaluate import evaluate
from afterglow.segment.reader import Mask


def masks(view: View, selection: Selection, named: Sequence[str] = ()) -> list[Mask | None]:
    """For each part of the view the rows that live, have not expired and satisfy the selection.

    None where that is every row.

    A selection by ids needs a view that was asked with them, one whose filters name ids a view that was asked with
    `named`: all that are named, each once.
    """
    chosen: list[Mask | None] = []
    expiry = view.expiry
    for index, live in enumerate(view.parts):
        dead = expired.dead_in(live, expiry)
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
