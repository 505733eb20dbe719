"""Metadata values as integer codes: equal for equal values, and ascending as the values ascend.

The order is: no value, false, true, numbers (ints and floats compared by value), strings by code point, lists. Sparse
vectors have no order and count as no value.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import Column, ColumnSet, ColumnType

_ORDER = (
    ColumnType.BOOL,
    ColumnType.INT,
    ColumnType.FLOAT,
    ColumnType.STR,
    ColumnType.BOOL_LIST,
    ColumnType.INT_LIST,
    ColumnType.FLOAT_LIST,
    ColumnType.STR_LIST,
)
_ORDERED_WITH = {ColumnType.FLOAT: ColumnType.INT}
"""Types whose values are compared with those of another type."""

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SortKeys:
    """For n records: `order` (int64) sorts by value, 1 and 1.0 being equal; `identity` distinguishes these two."""

    order: NDArray[np.int64]
    identity: NDArray[np.int64]


@dataclass(slots=True)
class _DistinctValues:
    """Values of one type: a number for each distinct one, and per row group the records' positions and numbers."""

    numbers: dict[Any, int] = field(default_factory=dict)
    positions: list[Positions] = field(default_factory=list)
    codes: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, positions: Positions, distinct: Iterable[Any], inverse: NDArray[np.int64]) -> None:
        numbers = self.numbers
        number_of = np.array([numbers.setdefault(value, len(numbers)) for value in distinct], dtype=np.int64)
        self.positions.append(positions)
        self.codes.append(number_of[inverse])


def sort_keys(columns: Sequence[ColumnSet], groups: NDArray[np.int64], rows: NDArray[np.int64], key: str) -> SortKeys:
    """The codes of the records' values under `key`; record i is row rows[i] of row group groups[i] of `columns`."""
    by_type: dict[ColumnType, _DistinctValues] = {}
    for number in np.flatnonzero(np.bincount(groups)).tolist():
        positions = np.flatnonzero(groups == number)
        for column in columns[number].columns.get(key, ()):
            if column.type in _ORDER:
                has_value, entries = _entries(column, rows[positions])
                values = by_type.setdefault(column.type, _DistinctValues())
                values.add(positions[has_value], *_distinct(column, entries))
    order = np.zeros(len(groups), dtype=np.int64)
    identity = np.zeros(len(groups), dtype=np.int64)
    base = 1
    for types in _comparable_types(by_type):
        distinct = sorted({value for column_type in types for value in by_type[column_type].numbers})
        ranks = {value: rank for rank, value in enumerate(distinct)}
        for offset, column_type in enumerate(types):
            values = by_type[column_type]
            code_of = np.array([base + ranks[value] for value in values.numbers], dtype=np.int64)
            for positions, codes in zip(values.positions, values.codes, strict=True):
                order[positions] = code_of[codes]
                identity[positions] = 2 * code_of[codes] + offset
        base += len(ranks)
    return SortKeys(order, identity)


def _comparable_types(by_type: dict[ColumnType, _DistinctValues]) -> list[list[ColumnType]]:
    """The types in their order; types whose values are compared with one another are in one list."""
    classes: dict[ColumnType, list[ColumnType]] = {}
    for column_type in _ORDER:
        if column_type in by_type:
            classes.setdefault(_ORDERED_WITH.get(column_type, column_type), []).append(column_type)
    return list(classes.values())


def _entries(column: Column, rows: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which of the rows have a value in the column, and the entries of those."""
    if column.row_ids is None:
        return np.ones(len(rows), dtype=np.bool_), rows
    if not len(column.row_ids):
        return np.zeros(len(rows), dtype=np.bool_), np.empty(0, dtype=np.int64)
    entries = np.minimum(np.searchsorted(column.row_ids, rows.astype(np.uint32)), len(column.row_ids) - 1)
    has_value = column.row_ids[entries] == rows
    return has_value, entries[has_value]


def _distinct(column: Column, entries: NDArray[np.int64]) -> tuple[Iterable[Any], NDArray[np.int64]]:
    """The distinct values of some entries, and for each entry the index of its value among them."""
    if column.offsets is not None:
        bounds = zip(column.offsets[entries].tolist(), column.offsets[entries + 1].tolist(), strict=True)
        lists = [tuple(_python_values(column, column.values[start:stop])) for start, stop in bounds]
        numbers: dict[Any, int] = {}
        inverse = [numbers.setdefault(value, len(numbers)) for value in lists]
        return numbers, np.array(inverse, dtype=np.int64)
    distinct, inverse_of_entry = np.unique(column.values[entries], return_inverse=True)
    return _python_values(column, distinct), inverse_of_entry


def _python_values(column: Column, values: NDArray[Any]) -> list[Any]:
    return values.tolist() if column.dictionary is None else column.dictionary.utf8_values(values.astype(np.int64))
