"""TTL: the records that have expired, by the values under the collection's `catalog.ttl` key.

A read excludes records that have expired by the time of its snapshot (`Snapshot.as_of`). A write treats a record as
missing that has expired by the log time of the write's entry, so every replica decides alike: see `TtlCutoff` and
`collection.replica.apply`.

Nothing is computed before the first record expires: a row group caches the earliest expiry of its live rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica.replica_state import ReplicaState, RowGroupView, RowLocations
from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.segment.reader import Mask

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class TtlCutoff:
    """The metadata key by which records expire, and the time to compare with, in Unix seconds."""

    key: str
    now: float


def expired_rows(group: RowGroupView, expiry: TtlCutoff) -> Mask | None:
    """The rows that have expired, deleted ones included; None where no live row has."""
    if expiry.now < next_expiry(group, expiry.key):
        return None
    expired = np.zeros(group.rows.rows, dtype=np.bool_)
    for column in _expiry_columns(group.rows.columns, expiry.key):
        is_past = column.values <= expiry.now
        expired[is_past if column.row_ids is None else column.row_ids[is_past]] = True
    return expired


def excluded_rows(group: RowGroupView, expiry: TtlCutoff | None) -> Mask | None:
    """The rows that are deleted or have expired; None where there are none."""
    expired = None if expiry is None else expired_rows(group, expiry)
    if expired is None:
        return group.deleted
    return expired if group.deleted is None else expired | group.deleted


def next_expiry(group: RowGroupView, key: str) -> float:
    """When the first live row of a row group expires, in Unix seconds; infinite where none ever does."""
    cached = group.next_expiry.get(key)
    if cached is None:
        cached = group.next_expiry[key] = min(
            (_earliest(column, group.deleted) for column in _expiry_columns(group.rows.columns, key)), default=NEVER
        )
    return cached


def expired_locations(state: ReplicaState, locations: RowLocations, expiry: TtlCutoff) -> Mask:
    """Mask of the located records that have expired."""
    expired = np.zeros(len(locations.groups), dtype=np.bool_)
    for index in np.unique(locations.groups[locations.found]).tolist():
        positions = np.flatnonzero(locations.groups == index)
        rows = locations.rows[positions]
        for column in _expiry_columns(state.row_group(index).columns, expiry.key):
            if column.row_ids is None:
                expired[positions] |= column.values[rows] <= expiry.now
            else:
                at = np.minimum(np.searchsorted(column.row_ids, rows.astype(np.uint32)), column.count - 1)
                expired[positions] |= (column.row_ids[at] == rows) & (column.values[at] <= expiry.now)
    return expired


def _expiry_columns(columns: ColumnSet, key: str) -> Iterator[Column]:
    for column in columns.columns.get(key, ()):
        if column.type in (ColumnType.INT, ColumnType.FLOAT) and column.count:
            yield column


def _earliest(column: Column, deleted: NDArray[np.bool_] | None) -> float:
    values = column.values
    if deleted is not None:
        values = values[~deleted if column.row_ids is None else ~deleted[column.row_ids]]
    return float(values.min()) if len(values) else NEVER
