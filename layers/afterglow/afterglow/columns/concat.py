"""Merging columns: the rows worth keeping of several parts, as one part (fold, compaction, reordering).

The result is always in the form for good: sorted vocabularies holding only the strings in use, lanes without entries
left out. Values are copied, so the parts may be dropped afterwards; a vocabulary that stays whole is shared.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.arrays import slice_indices
from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.columns.dictionary import merge_dictionaries

ColumnSubset = tuple[ColumnSet, NDArray[np.int64]]


def concat(parts: Sequence[ColumnSubset], order: NDArray[np.int64] | None = None) -> ColumnSet:
    """The rows named by each part, in the order named, one part after the other; all that permuted by `order`.

    Rows are int64 and distinct within their part; they need not ascend. Lanes are made one after the other: besides
    what comes of it, memory holds one of them twice.
    """
    places, count = _row_mapping(parts)
    inverse = None
    if order is not None and not bool((order[1:] > order[:-1]).all()):
        inverse = np.empty(count, dtype=np.int64)
        inverse[order] = np.arange(count)
    found: dict[tuple[str, ColumnType], list[tuple[int, Column]]] = {}
    for number, (columns, _) in enumerate(parts):
        for key, lanes in columns.columns.items():
            for lane in lanes:
                found.setdefault((key, lane.type), []).append((number, lane))
    merged: dict[str, list[Column]] = {}
    for (key, _), sources in found.items():
        pieces = [_take_column(lane, parts[number][1], places[number]) for number, lane in sources]
        pieces = [piece for piece in pieces if piece.count]
        if not pieces:
            continue
        lane = _concat_columns(pieces, count)
        if order is not None and inverse is not None:
            lane = _concat_columns([_take_column(lane, order, inverse)], count)
        merged.setdefault(key, []).append(lane)
    return ColumnSet(count, {key: tuple(lanes) for key, lanes in merged.items()})


def take(columns: ColumnSet, order: NDArray[np.int64]) -> ColumnSet:
    """The rows named by `order` (distinct int64), in that order."""
    return concat([(columns, order)])


def _row_mapping(parts: Sequence[ColumnSubset]) -> tuple[list[NDArray[np.int64]], int]:
    """Where each part's rows go, −1 for those that go nowhere; and how many there are."""
    found, base = [], 0
    for columns, rows in parts:
        places = np.full(columns.rows, -1, dtype=np.int64)
        places[rows] = np.arange(base, base + len(rows))
        found.append(places)
        base += len(rows)
    return found, base


def _take_column(lane: Column, rows: NDArray[np.int64], places: NDArray[np.int64]) -> Column:
    """The entries of the kept rows, in the order of their new places, with those places as rows."""
    if lane.row_ids is None:
        entries = rows
        new_rows = places[rows]
    else:
        new_rows = places[lane.row_ids]
        entries = np.flatnonzero(new_rows >= 0)
        new_rows = new_rows[entries]
        if len(new_rows) > 1 and not np.all(new_rows[1:] > new_rows[:-1]):
            order = np.argsort(new_rows)
            entries, new_rows = entries[order], new_rows[order]
    target = new_rows.astype(np.uint32)
    if lane.offsets is None:
        return Column(lane.type, target, lane.values[entries], None, lane.dictionary)
    starts = lane.offsets.view(np.int64)[entries]
    lengths = lane.offsets.view(np.int64)[entries + 1] - starts
    items, offsets = slice_indices(starts, lengths)
    indices = None if lane.indices is None else lane.indices[items]
    return Column(lane.type, target, lane.values[items], offsets, lane.dictionary, indices)


def _concat_columns(lanes: Sequence[Column], rows: int) -> Column:
    """Lanes of one key and kind, whose rows ascend from one to the next, as one."""
    kind = lanes[0].type
    all_rows = np.concatenate([lane.row_ids for lane in lanes if lane.row_ids is not None])
    vocabulary = None
    values: list[NDArray[Any]] = [lane.values for lane in lanes]
    if kind.item_type is ColumnType.STR:
        vocabulary, values = merge_dictionaries(
            [(lane.dictionary, lane.values) for lane in lanes if lane.dictionary is not None]
        )
    offsets = None
    if kind.is_variable_length:
        lengths = np.concatenate([np.diff(lane.offsets) for lane in lanes if lane.offsets is not None])
        offsets = np.zeros(len(lengths) + 1, dtype=np.uint64)
        np.cumsum(lengths, out=offsets[1:])
    return Column(
        type=kind,
        row_ids=None if len(all_rows) == rows else all_rows,
        values=np.concatenate(values),
        offsets=offsets,
        dictionary=vocabulary,
        indices=np.concatenate([lane.indices for lane in lanes if lane.indices is not None])
        if kind is ColumnType.SPARSE
        else None,
    )
