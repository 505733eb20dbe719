"""The records that a selection matches, counted, and the values of one metadata key in them, from the columns.

No record is read. Lists count with their items, once for each record. 1 and 1.0 are one value, as in filters; true and
1 are two. The order of values is false, true, numbers, strings by code point, as in `ranking.sort_keys`. Sparse vectors
count as no value.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.read import read_path, work
from afterglow.collection.read import rows as fetch
from afterglow.collection.read.read_path import ReadLimits
from afterglow.collection.read.work import Work
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Selection
from afterglow.columns.column import Column, ColumnType
from afterglow.columns.dictionary import SortedDictionary
from afterglow.errors import LimitExceeded
from afterglow.filters.ast import Scalar
from afterglow.metering import phase
from afterglow.segment.reader import Mask
from afterglow.segment.stored_columns import read_together

MAX_DISTINCT = 1_000_000
"""Distinct values of a key that are told apart."""
_VALUE_BYTES = 64
_CLASSES = {ColumnType.BOOL: 0, ColumnType.INT: 1, ColumnType.FLOAT: 1, ColumnType.STR: 2}
"""The types in the order of their values; ints and floats are compared with each other."""

_Counts = dict[tuple[int, bool | float | bytes], int]
"""The number of records by class and value."""


@dataclass(frozen=True, slots=True)
class DistinctValues:
    """Values and the number of records that have each: the most frequent first, then by value.

    `total` is the number of all distinct values, `position` the last log entry in the snapshot.
    """

    values: list[tuple[Scalar, int]]
    total: int
    position: int


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The least and the greatest value, None without any, and the number of records that have a value."""

    minimum: Scalar | None
    maximum: Scalar | None
    records: int
    position: int


def count(snapshot: Snapshot, selection: Selection, limits: ReadLimits) -> int:
    """The number of selected records. Raises LimitExceeded."""
    masks = _masks(snapshot, selection, limits)
    return sum(
        group.rows.rows if mask is None else int(np.count_nonzero(mask))
        for group, mask in zip(snapshot.row_groups, masks, strict=True)
    )


def distinct(snapshot: Snapshot, selection: Selection, key: str, limit: int, limits: ReadLimits) -> DistinctValues:
    """The distinct values of `key` in the selected records, at most `limit` of them.

    Raises LimitExceeded for more than `MAX_DISTINCT` distinct values in all, ResponseTooLarge.
    """
    counts: _Counts = {}
    for column, entries in _entries(snapshot, selection, key, limits):
        value_class = _CLASSES[column.type.item_type]
        numbers, frequencies = _count_values(column, entries)
        if len(counts) + len(numbers) > MAX_DISTINCT:
            raise LimitExceeded(f"key {key!r} has more than {MAX_DISTINCT} distinct values; select fewer records")
        for value, frequency in zip(_decoded(column, numbers), frequencies.tolist(), strict=True):
            counted = (value_class, value)
            counts[counted] = counts.get(counted, 0) + frequency
    first = heapq.nsmallest(limit, counts.items(), key=lambda item: (-item[1], item[0]))
    byte_size = sum(_VALUE_BYTES + (len(value) if isinstance(value, bytes) else 0) for (_, value), _ in first)
    fetch.check_size(byte_size, limits.result_bytes)
    values = [(_scalar(value), frequency) for (_, value), frequency in first]
    return DistinctValues(values, len(counts), snapshot.applied_seq)


def value_range(snapshot: Snapshot, selection: Selection, key: str, limits: ReadLimits) -> ValueRange:
    """The least and the greatest value of `key` in the selected records. Raises LimitExceeded."""
    records, extremes = 0, []
    for column, entries in _entries(snapshot, selection, key, limits):
        records += int(np.count_nonzero(entries))
        value_class = _CLASSES[column.type.item_type]
        extremes += [(value_class, value) for value in _extremes(column, column.values[_items(column, entries)])]
    if not extremes:
        return ValueRange(None, None, records, snapshot.applied_seq)
    return ValueRange(_scalar(min(extremes)[1]), _scalar(max(extremes)[1]), records, snapshot.applied_seq)


def _masks(snapshot: Snapshot, selection: Selection, limits: ReadLimits) -> Sequence[Mask | None]:
    read_path.check_indexed(snapshot.collection, selection)
    work.check(snapshot, Work(read_path.filters_of(selection)), limits.seconds)
    with phase("filter"):
        return fetch.selection_masks(snapshot, selection)


def _entries(
    snapshot: Snapshot, selection: Selection, key: str, limits: ReadLimits
) -> Iterator[tuple[Column, NDArray[np.bool_]]]:
    """The columns of the key, and which of their entries belong to selected records; only columns with any."""
    masks = _masks(snapshot, selection, limits)
    read_together([group.rows.columns for group in snapshot.row_groups], [key])
    for group, mask in zip(snapshot.row_groups, masks, strict=True):
        if mask is not None and not mask.any():
            continue
        for column in group.rows.columns.columns.get(key, ()):
            if column.type.item_type not in _CLASSES:
                continue
            if mask is None:
                entries = np.ones(column.count, dtype=np.bool_)
            else:
                entries = mask if column.row_ids is None else mask[column.row_ids]
            if entries.any():
                yield column, entries


def _items(column: Column, entries: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the column's values belong to these entries."""
    return entries if column.offsets is None else np.repeat(entries, _lengths(column))


def _lengths(column: Column) -> NDArray[np.int64]:
    assert column.offsets is not None, "a list column has offsets"
    offsets = column.offsets.view(np.int64)
    return offsets[1:] - offsets[:-1]


def _count_values(column: Column, entries: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The distinct values (for strings: codes) of the entries, and the number of entries that have each."""
    selected = _items(column, entries)
    distinct_values, numbers = np.unique(column.values[selected], return_inverse=True)
    if column.offsets is not None:
        # Each item once for each entry.
        owners = np.repeat(np.arange(column.count), _lengths(column))[selected]
        numbers = np.unique(owners * len(distinct_values) + numbers) % len(distinct_values)
    frequencies: NDArray[np.int64] = np.bincount(numbers, minlength=len(distinct_values))
    return distinct_values, frequencies


def _extremes(column: Column, values: NDArray[Any]) -> Sequence[bool | float | bytes]:
    """The least and the greatest of values (for strings: codes) of the column; none of none."""
    if not len(values):
        return []
    if column.dictionary is None or isinstance(column.dictionary, SortedDictionary):
        return _decoded(column, np.array([values.min(), values.max()]))
    strings = _decoded(column, np.unique(values))
    return [min(strings), max(strings)]


def _decoded(column: Column, values: NDArray[Any]) -> Sequence[bool | float | bytes]:
    if column.dictionary is None:
        numbers: list[bool | float] = values.tolist()
        return numbers
    return column.dictionary.utf8_values(values.astype(np.int64))


def _scalar(value: bool | float | bytes) -> Scalar:
    return value.decode() if isinstance(value, bytes) else value
