"""Metadata values as numbers: equal ones where the values are equal, ascending as the values ascend.

No value comes first, then false and true, numbers (ints and floats by their worth), strings by code points, and lists.
Sparse vectors have no order, and count as no value.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import Column, ColumnSet, ColumnType

_ORDER = tuple(
    ColumnType(each) for each in ("bool", "int", "float", "str", "bool_list", "int_list", "float_list", "str_list")
)
_SAME_CLASS = {ColumnType.FLOAT: ColumnType.INT}
"""Kinds that are ordered with another."""

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SortKeys:
    """For n records: `order` (int64) sorts them by value, 1 and 1.0 being equal; `identity` tells these two apart."""

    order: NDArray[np.int64]
    identity: NDArray[np.int64]


@dataclass(slots=True)
class _Gathered:
    """Values of one kind: the distinct ones met so far, and per piece the places and their values' numbers."""

    numbers: dict[Any, int] = field(default_factory=dict)
    places: list[Places] = field(default_factory=list)
    codes: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, places: Places, distinct: Iterable[Any], inverse: NDArray[np.int64]) -> None:
        numbers = self.numbers
        own = np.array([numbers.setdefault(each, len(numbers)) for each in distinct], dtype=np.int64)
        self.places.append(places)
        self.codes.append(own[inverse])


def sort_keys(columns: Sequence[ColumnSet], parts: NDArray[np.int64], rows: NDArray[np.int64], key: str) -> SortKeys:
    """The values that records have under `key`; record i is row rows[i] of the part whose columns are parts[i]-th."""
    gathered: dict[ColumnType, _Gathered] = {}
    for index in np.flatnonzero(np.bincount(parts)).tolist():
        places = np.flatnonzero(parts == index)
        for lane in columns[index].columns.get(key, ()):
            if lane.type in _ORDER:
                having, entries = _entries(lane, rows[places])
                gathered.setdefault(lane.type, _Gathered()).add(places[having], *_distinct(lane, entries))
    order = np.zeros(len(parts), dtype=np.int64)
    identity = np.zeros(len(parts), dtype=np.int64)
    base = 1
    for kinds in _classes(gathered):
        ranks = {
            value: rank for rank, value in enumerate(sorted({v for kind in kinds for v in gathered[kind].numbers}))
        }
        for offset, kind in enumerate(kinds):
            values = gathered[kind]
            own = np.array([base + ranks[value] for value in values.numbers], dtype=np.int64)
            for places, of_kind in zip(values.places, values.codes, strict=True):
                order[places] = own[of_kind]
                identity[places] = 2 * own[of_kind] + offset
        base += len(ranks)
    return SortKeys(order, identity)


def _classes(gathered: dict[ColumnType, _Gathered]) -> list[list[ColumnType]]:
    """The kinds in their order, those together that are ordered with one another."""
    classes: dict[ColumnType, list[ColumnType]] = {}
    for kind in _ORDER:
        if kind in gathered:
            classes.setdefault(_SAME_CLASS.get(kind, kind), []).append(kind)
    return list(classes.values())


def _entries(lane: Column, rows: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which of the rows have a value in the lane, and at which entries."""
    if lane.row_ids is None:
        return np.ones(len(rows), dtype=np.bool_), rows
    if not len(lane.row_ids):
        return np.zeros(len(rows), dtype=np.bool_), np.empty(0, dtype=np.int64)
    at = np.minimum(np.searchsorted(lane.row_ids, rows.astype(np.uint32)), len(lane.row_ids) - 1)
    having = lane.row_ids[at] == rows
    return having, at[having]


def _distinct(lane: Column, entries: NDArray[np.int64]) -> tuple[Iterable[Any], NDArray[np.int64]]:
    """The distinct values of some entries, and which of them each entry has."""
    if lane.offsets is not None:
        bounds = zip(lane.offsets[entries].tolist(), lane.offsets[entries + 1].tolist(), strict=True)
        lists = [tuple(_decoded(lane, lane.values[start:stop])) for start, stop in bounds]
        numbers: dict[Any, int] = {}
        inverse = [numbers.setdefault(each, len(numbers)) for each in lists]
        return numbers, np.array(inverse, dtype=np.int64)
    distinct, found = np.unique(lane.values[entries], return_inverse=True)
    return _decoded(lane, distinct), found


def _decoded(lane: Column, values: NDArray[Any]) -> list[Any]:
    return values.tolist() if lane.dictionary is None else lane.dictionary.utf8_values(values.astype(np.int64))
