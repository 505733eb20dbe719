"""Concatenates column sets: a subset of the rows of several row groups as one (flush, compaction, reordering).

The result is always in the immutable form: sorted dictionaries that hold only the strings in use, and no columns
without entries. Values are copied, so the sources may be dropped afterwards; a dictionary used in full is shared.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.arrays import slice_indices
from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.columns.dictionary import merge_dictionaries

ColumnSubset = tuple[ColumnSet, NDArray[np.int64]]


def concat(subsets: Sequence[ColumnSubset], order: NDArray[np.int64] | None = None) -> ColumnSet:
    """The rows of all subsets, one subset after the other, each in its listed order; then permuted by `order`.

    Rows are int64 and distinct within their subset; they need not ascend. Columns are built one after the other:
    besides the result, memory holds two copies of one of them.
    """
    new_rows, count = _row_mapping(subsets)
    inverse = None
    if order is not None and not bool((order[1:] > order[:-1]).all()):
        inverse = np.empty(count, dtype=np.int64)
        inverse[order] = np.arange(count)
    sources: dict[tuple[str, ColumnType], list[tuple[int, Column]]] = {}
    for number, (column_set, _) in enumerate(subsets):
        for key, columns in column_set.columns.items():
            for column in columns:
                sources.setdefault((key, column.type), []).append((number, column))
    merged: dict[str, list[Column]] = {}
    for (key, _), columns_of_key in sources.items():
        taken = [_take_column(column, subsets[number][1], new_rows[number]) for number, column in columns_of_key]
        taken = [column for column in taken if column.count]
        if not taken:
            continue
        column = _concat_columns(taken, count)
        if order is not None and inverse is not None:
            column = _concat_columns([_take_column(column, order, inverse)], count)
        merged.setdefault(key, []).append(column)
    return ColumnSet(count, {key: tuple(columns) for key, columns in merged.items()})


def take(columns: ColumnSet, order: NDArray[np.int64]) -> ColumnSet:
    """The rows listed by `order` (distinct int64), in that order."""
    return concat([(columns, order)])


def _row_mapping(subsets: Sequence[ColumnSubset]) -> tuple[list[NDArray[np.int64]], int]:
    """The new row of each row of each column set, −1 for rows left out; and the number of new rows."""
    mappings, base = [], 0
    for columns, rows in subsets:
        new_rows = np.full(columns.rows, -1, dtype=np.int64)
        new_rows[rows] = np.arange(base, base + len(rows))
        mappings.append(new_rows)
        base += len(rows)
    return mappings, base


def _take_column(column: Column, rows: NDArray[np.int64], new_rows: NDArray[np.int64]) -> Column:
    """The entries of the selected rows, under their new row numbers and in their order."""
    if column.row_ids is None:
        entries = rows
        row_ids = new_rows[rows]
    else:
        row_ids = new_rows[column.row_ids]
        entries = np.flatnonzero(row_ids >= 0)
        row_ids = row_ids[entries]
        if len(row_ids) > 1 and not np.all(row_ids[1:] > row_ids[:-1]):
            order = np.argsort(row_ids)
            entries, row_ids = entries[order], row_ids[order]
    target = row_ids.astype(np.uint32)
    if column.offsets is None:
        return Column(column.type, target, column.values[entries], None, column.dictionary)
    starts = column.offsets.view(np.int64)[entries]
    lengths = column.offsets.view(np.int64)[entries + 1] - starts
    items, offsets = slice_indices(starts, lengths)
    indices = None if column.indices is None else column.indices[items]
    return Column(column.type, target, column.values[items], offsets, column.dictionary, indices)


def _concat_columns(columns: Sequence[Column], rows: int) -> Column:
    """Columns of one key and type, whose rows ascend from one column to the next, as one."""
    column_type = columns[0].type
    row_ids = np.concatenate([column.row_ids for column in columns if column.row_ids is not None])
    dictionary = None
    values: list[NDArray[Any]] = [column.values for column in columns]
    if column_type.item_type is ColumnType.STR:
        dictionary, values = merge_dictionaries(
            [(column.dictionary, column.values) for column in columns if column.dictionary is not None]
        )
    offsets = None
    if column_type.is_variable_length:
        lengths = np.concatenate([np.diff(column.offsets) for column in columns if column.offsets is not None])
        offsets = np.zeros(len(lengths) + 1, dtype=np.uint64)
        np.cumsum(lengths, out=offsets[1:])
    return Column(
        type=column_type,
        row_ids=None if len(row_ids) == rows else row_ids,
        values=np.concatenate(values),
        offsets=offsets,
        dictionary=dictionary,
        indices=np.concatenate([column.indices for column in columns if column.indices is not None])
        if column_type is ColumnType.SPARSE
        else None,
    )
