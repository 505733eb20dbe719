"""Inverted lists of sparse vectors: for each dimension the rows that have it, so that a query reads its own alone.

A segment with sparse vectors has one file of them, mapped, with the lists of each metadata key that has any::

    dimensions u32 (n)   ascending            rows   u32   ascending within a list
    starts     u64 (n+1) where lists begin    values f32   the component of each row
    max_value  f32 (n)   } of the values of a list, which bound what it can add to a sum
    min_value  f32 (n)   }

The rows in the log's tail have none: there the lists of a query's dimensions are picked out of the lane in one pass.
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
_COMPARED = 64
"""So many dimensions are each sought by a pass over the lane, which is faster than one pass of binary searches."""


@dataclass(frozen=True, slots=True)
class PostingList:
    """The rows (uint32, ascending) that have one dimension, with their components; `max_value`, `min_value` bound those."""

    rows: NDArray[np.uint32]
    values: NDArray[np.float32]
    max_value: float
    min_value: float


@dataclass(frozen=True, slots=True)
class Postings:
    """The inverted lists of one lane: list i is rows[starts[i]:starts[i + 1]], and the same of `values`."""

    dimensions: Dimensions
    starts: NDArray[np.uint64]
    rows: NDArray[np.uint32]
    values: NDArray[np.float32]
    max_value: NDArray[np.float32]
    min_value: NDArray[np.float32]

    def lists(self, wanted: Dimensions) -> list[PostingList | None]:
        """The list of each wanted dimension, None where no row has it."""
        places = np.searchsorted(self.dimensions, wanted)
        found: list[PostingList | None] = []
        for place, dimension in zip(places.tolist(), wanted.tolist(), strict=True):
            if place == len(self.dimensions) or int(self.dimensions[place]) != dimension:
                found.append(None)
                continue
            span = slice(int(self.starts[place]), int(self.starts[place + 1]))
            bounds = float(self.max_value[place]), float(self.min_value[place])
            found.append(PostingList(self.rows[span], self.values[span], *bounds))
        return found


def invert(lane: Column) -> Postings:
    """The inverted lists of a lane of sparse vectors."""
    indices, rows = _components(lane)
    order = _order(indices)
    ordered, values = indices[order], lane.values[order]
    begins = np.flatnonzero(np.concatenate([np.ones(min(len(ordered), 1), dtype=np.bool_), np.diff(ordered) != 0]))
    return Postings(
        dimensions=ordered[begins],
        starts=np.append(begins, len(ordered)).astype(np.uint64),
        rows=rows[order],
        values=values,
        max_value=np.maximum.reduceat(values, begins) if len(begins) else values,
        min_value=np.minimum.reduceat(values, begins) if len(begins) else values,
    )


def scan_lists(lane: Column, wanted: Dimensions) -> list[PostingList | None]:
    """The list of each wanted dimension (ascending), None where no row has it, found by reading the whole lane."""
    indices, offsets = lane.indices, lane.offsets
    if indices is None or offsets is None:
        raise AssertionError(f"a lane of {lane.type} has no dimensions")
    found: list[PostingList | None] = []
    for positions in _positions(indices, wanted):
        if not len(positions):
            found.append(None)
            continue
        entries = np.searchsorted(offsets, positions.astype(np.uint64), side="right") - 1
        rows = entries.astype(np.uint32) if lane.row_ids is None else lane.row_ids[entries]
        values = lane.values[positions]
        found.append(PostingList(rows, values, float(values.max()), float(values.min())))
    return found


def serialize(columns: ColumnSet) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
    """The meta and arrays of the file for these columns, None where they hold no sparse vectors."""
    lanes = sparse_columns(columns)
    if not lanes:
        return None
    arrays: dict[str, NDArray[Any]] = {}
    for number, lane in enumerate(lanes.values()):
        postings = invert(lane)
        arrays |= {f"{name}{number}": getattr(postings, name) for name in _ARRAYS}
    return {"version": VERSION, "keys": list(lanes)}, arrays


def deserialize(name: str, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Postings]:
    """The inverted lists in a file, by metadata key, as views of its arrays. Raises Corrupt."""
    if meta["version"] != VERSION:
        raise Corrupt(f"{name} is of format version {meta['version']}; this program reads {VERSION}")
    found: dict[str, Postings] = {}
    for number, key in enumerate(meta["keys"]):
        postings = Postings(**{each: arrays[f"{each}{number}"] for each in _ARRAYS})
        count, items = len(postings.dimensions), len(postings.values)
        lengths = tuple(len(arrays[f"{each}{number}"]) for each in ("starts", "rows", "max_value", "min_value"))
        if lengths != (count + 1, items, count, count) or int(postings.starts[-1]) != items:
            raise Corrupt(f"{name} holds lists of other sizes than it says; {RESTORE_HINT}")
        found[key] = postings
    return found


def sparse_columns(columns: ColumnSet) -> dict[str, Column]:
    """The lanes of sparse vectors, by key."""
    return {key: lane for key in columns.columns if (lane := columns.column(key, ColumnType.SPARSE)) is not None}


def _components(lane: Column) -> tuple[Dimensions, NDArray[np.uint32]]:
    """The dimension and the row of each component."""
    if lane.indices is None or lane.offsets is None:
        raise AssertionError(f"a lane of {lane.type} has no dimensions")
    rows = np.arange(lane.count, dtype=np.uint32) if lane.row_ids is None else lane.row_ids
    return lane.indices, np.repeat(rows, lane.offsets[1:].view(np.int64) - lane.offsets[:-1].view(np.int64))


def _order(indices: Dimensions) -> NDArray[np.int64]:
    """The stable permutation that sorts them, by two passes over 16 bits each: twice as fast as one over 32."""
    low = np.argsort(indices.astype(np.uint16), kind="stable")
    return low[np.argsort((indices[low] >> np.uint32(16)).astype(np.uint16), kind="stable")]


def _positions(indices: Dimensions, wanted: Dimensions) -> list[NDArray[np.int64]]:
    """Where each of the wanted dimensions (ascending) stands among the indices."""
    if len(wanted) <= _COMPARED:
        return [np.flatnonzero(indices == dimension) for dimension in wanted]
    places = np.searchsorted(wanted, indices)
    places[places == len(wanted)] = 0
    hits = np.flatnonzero(wanted[places] == indices)
    order = hits[np.argsort(places[hits], kind="stable")]
    ends = np.cumsum(np.bincount(places[hits], minlength=len(wanted)))
    return np.split(order, ends[:-1])
