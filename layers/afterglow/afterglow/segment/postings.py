"""Inverted lists of sparse vectors: for each dimension the rows that have it; a query reads the lists it needs.

A segment with sparse vectors has one file of lists, mapped, with the lists of each metadata key that has any::

    dimensions u32 (n)   ascending            rows   u32   ascending within a list
    starts     u64 (n+1) start of each list   values f32   the component of each row
    max_value  f32 (n)   } of the values of a list: bounds of its contribution to a sum
    min_value  f32 (n)   }

The memtable has no lists: there one pass over the column extracts the lists of a query's dimensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.errors import Corrupt
from afterglow.segment.array_file import RESTORE_HINT

Dimensions = NDArray[np.uint32]

VERSION = 1
_ARRAYS = ("dimensions", "starts", "rows", "values", "max_value", "min_value")
_MAX_LINEAR_PASSES = 64
"""Up to so many dimensions, one pass over the column for each is faster than one pass of binary searches."""


@dataclass(frozen=True, slots=True)
class PostingList:
    """The rows (uint32, ascending) that have one dimension, their components, and the bounds of those."""

    rows: NDArray[np.uint32]
    values: NDArray[np.float32]
    max_value: float
    min_value: float


@dataclass(frozen=True, slots=True)
class Postings:
    """The inverted lists of one column: list i is rows[starts[i]:starts[i + 1]], and the same of `values`."""

    dimensions: Dimensions
    starts: NDArray[np.uint64]
    rows: NDArray[np.uint32]
    values: NDArray[np.float32]
    max_value: NDArray[np.float32]
    min_value: NDArray[np.float32]

    def lists(self, dimensions: Dimensions) -> list[PostingList | None]:
        """The list of each dimension, None where no row has it."""
        result: list[PostingList | None] = [None] * len(dimensions)
        found, positions = positions_of(self.dimensions, dimensions)
        for number, position in zip(found.tolist(), positions.tolist(), strict=True):
            span = slice(int(self.starts[position]), int(self.starts[position + 1]))
            bounds = float(self.max_value[position]), float(self.min_value[position])
            result[number] = PostingList(self.rows[span], self.values[span], *bounds)
        return result


def positions_of(stored: Dimensions, dimensions: Dimensions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the dimensions are stored: their numbers, and the number of the list of each."""
    positions = np.minimum(np.searchsorted(stored, dimensions), max(len(stored) - 1, 0))
    found = np.flatnonzero(stored[positions] == dimensions) if len(stored) else np.empty(0, dtype=np.int64)
    return found, positions[found]


def invert(column: Column) -> Postings:
    """The inverted lists of a column of sparse vectors."""
    indices, rows = _components(column)
    order = _sort_order(indices)
    ordered, values = indices[order], column.values[order]
    starts = np.flatnonzero(np.concatenate([np.ones(min(len(ordered), 1), dtype=np.bool_), np.diff(ordered) != 0]))
    return Postings(
        dimensions=ordered[starts],
        starts=np.append(starts, len(ordered)).astype(np.uint64),
        rows=rows[order],
        values=values,
        max_value=np.maximum.reduceat(values, starts) if len(starts) else values,
        min_value=np.minimum.reduceat(values, starts) if len(starts) else values,
    )


def scan_lists(column: Column, dimensions: Dimensions) -> list[PostingList | None]:
    """The list of each dimension (ascending), None where no row has it, by a scan of the whole column."""
    indices, offsets = column.indices, column.offsets
    if indices is None or offsets is None:
        raise AssertionError(f"a column of {column.type} has no dimensions")
    result: list[PostingList | None] = []
    for positions in _positions(indices, dimensions):
        if not len(positions):
            result.append(None)
            continue
        entries = np.searchsorted(offsets, positions.astype(np.uint64), side="right") - 1
        rows = entries.astype(np.uint32) if column.row_ids is None else column.row_ids[entries]
        values = column.values[positions]
        result.append(PostingList(rows, values, float(values.max()), float(values.min())))
    return result


def serialize(columns: ColumnSet) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
    """The meta and arrays of the file for these columns, None where they hold no sparse vectors."""
    by_key = sparse_columns(columns)
    if not by_key:
        return None
    arrays: dict[str, NDArray[Any]] = {}
    for number, column in enumerate(by_key.values()):
        postings = invert(column)
        arrays |= {f"{name}{number}": getattr(postings, name) for name in _ARRAYS}
    return {"version": VERSION, "keys": list(by_key)}, arrays


def deserialize(name: str, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Postings]:
    """The inverted lists in a file, by metadata key, as views of its arrays. Raises Corrupt."""
    if meta["version"] != VERSION:
        raise Corrupt(f"{name} has format version {meta['version']}; this release reads version {VERSION}")
    by_key: dict[str, Postings] = {}
    for number, key in enumerate(meta["keys"]):
        postings = Postings(**{array: arrays[f"{array}{number}"] for array in _ARRAYS})
        count, items = len(postings.dimensions), len(postings.values)
        lengths = tuple(len(arrays[f"{array}{number}"]) for array in ("starts", "rows", "max_value", "min_value"))
        if lengths != (count + 1, items, count, count) or int(postings.starts[-1]) != items:
            raise Corrupt(f"{name} holds lists of other sizes than it specifies; {RESTORE_HINT}")
        by_key[key] = postings
    return by_key


def sparse_columns(columns: ColumnSet) -> dict[str, Column]:
    """The columns of sparse vectors, by key."""
    return {key: column for key in columns.columns if (column := columns.column(key, ColumnType.SPARSE)) is not None}


def _components(column: Column) -> tuple[Dimensions, NDArray[np.uint32]]:
    """The dimension and the row of each component."""
    if column.indices is None or column.offsets is None:
        raise AssertionError(f"a column of {column.type} has no dimensions")
    rows = np.arange(column.count, dtype=np.uint32) if column.row_ids is None else column.row_ids
    return column.indices, np.repeat(rows, column.offsets[1:].view(np.int64) - column.offsets[:-1].view(np.int64))


def _sort_order(indices: Dimensions) -> NDArray[np.int64]:
    """The stable permutation that sorts them, by two passes over 16 bits each: twice as fast as one over 32."""
    low = np.argsort(indices.astype(np.uint16), kind="stable")
    return low[np.argsort((indices[low] >> np.uint32(16)).astype(np.uint16), kind="stable")]


def _positions(indices: Dimensions, dimensions: Dimensions) -> list[NDArray[np.int64]]:
    """The positions of each of the dimensions (ascending) in the indices."""
    if len(dimensions) <= _MAX_LINEAR_PASSES:
        return [np.flatnonzero(indices == dimension) for dimension in dimensions]
    numbers = np.searchsorted(dimensions, indices)
    numbers[numbers == len(dimensions)] = 0
    hits = np.flatnonzero(dimensions[numbers] == indices)
    order = hits[np.argsort(numbers[hits], kind="stable")]
    ends = np.cumsum(np.bincount(numbers[hits], minlength=len(dimensions)))
    return np.split(order, ends[:-1])
