"""Which records have expired, by the values under the collection's `catalog.ttl` key.

A read leaves out what has expired by the moment that its view speaks for. A write finds a record gone that has expired
by the time of the log at its entry, so that every replica decides alike: see `Expiry` and `collection.replica.apply`.

Nothing is computed while nothing has expired: a part keeps the smallest of its living rows' expiries.
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
    """By which metadata key records expire, and the time that it is, in Unix seconds."""

    key: str
    now: float


def expired_rows(live: RowGroupView, expiry: TtlCutoff) -> Mask | None:
    """The rows that have expired, dead ones among them; None where no living row has."""
    if expiry.now < next_expiry(live, expiry.key):
        return None
    gone = np.zeros(live.rows.rows, dtype=np.bool_)
    for lane in _expiry_columns(live.rows.columns, expiry.key):
        is_over = lane.values <= expiry.now
        gone[is_over if lane.row_ids is None else lane.row_ids[is_over]] = True
    return gone


def excluded_rows(live: RowGroupView, expiry: TtlCutoff | None) -> Mask | None:
    """The rows that do not count: dead or expired; None where all do."""
    gone = None if expiry is None else expired_rows(live, expiry)
    if gone is None:
        return live.deleted
    return gone if live.deleted is None else gone | live.deleted


def next_expiry(live: RowGroupView, key: str) -> float:
    """When the first living row of a part expires; infinite where none ever does."""
    known = live.next_expiry.get(key)
    if known is None:
        known = live.next_expiry[key] = min(
            (_least(lane, live.deleted) for lane in _expiry_columns(live.rows.columns, key)), default=NEVER
        )
    return known


def expired_locations(memory: ReplicaState, located: RowLocations, expiry: TtlCutoff) -> Mask:
    """Which of the located records have expired."""
    gone = np.zeros(len(located.groups), dtype=np.bool_)
    for index in np.unique(located.groups[located.found]).tolist():
        here = np.flatnonzero(located.groups == index)
        rows = located.rows[here]
        for lane in _expiry_columns(memory.row_group(index).columns, expiry.key):
            if lane.row_ids is None:
                gone[here] |= lane.values[rows] <= expiry.now
            else:
                at = np.minimum(np.searchsorted(lane.row_ids, rows.astype(np.uint32)), lane.count - 1)
                gone[here] |= (lane.row_ids[at] == rows) & (lane.values[at] <= expiry.now)
    return gone


def _expiry_columns(columns: ColumnSet, key: str) -> Iterator[Column]:
    for lane in columns.columns.get(key, ()):
        if lane.type in (ColumnType.INT, ColumnType.FLOAT) and lane.count:
            yield lane


def _least(lane: Column, dead: NDArray[np.bool_] | None) -> float:
    values = lane.values
    if dead is not None:
        values = values[~dead if lane.row_ids is None else ~dead[lane.row_ids]]
    return float(values.min()) if len(values) else NEVER
