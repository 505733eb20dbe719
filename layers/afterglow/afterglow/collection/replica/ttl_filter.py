"""Which records have expired, by the values under the collection's `catalog.ttl` key.

A read leaves out what has expired by the moment that its view speaks for. A write finds a record gone that has expired
by the time of the log at its entry, so that every replica decides alike: see `Expiry` and `collection.replica.apply`.

Nothing is computed while nothing has expired: a part keeps the smallest of its living rows' expiries.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica.replica_state import LivePart, Located, Memory
from afterglow.columns.column import Columns, Kind, Lane
from afterglow.segment.reader import Mask

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Expiry:
    """By which metadata key records expire, and the time that it is, in Unix seconds."""

    key: str
    now: float


def in_part(live: LivePart, expiry: Expiry) -> Mask | None:
    """The rows that have expired, dead ones among them; None where no living row has."""
    if expiry.now < soonest_in(live, expiry.key):
        return None
    gone = np.zeros(live.part.rows, dtype=np.bool_)
    for lane in _lanes(live.part.columns, expiry.key):
        is_over = lane.values <= expiry.now
        gone[is_over if lane.rows is None else lane.rows[is_over]] = True
    return gone


def dead_in(live: LivePart, expiry: Expiry | None) -> Mask | None:
    """The rows that do not count: dead or expired; None where all do."""
    gone = None if expiry is None else in_part(live, expiry)
    if gone is None:
        return live.dead
    return gone if live.dead is None else gone | live.dead


def soonest_in(live: LivePart, key: str) -> float:
    """When the first living row of a part expires; infinite where none ever does."""
    known = live.soonest.get(key)
    if known is None:
        known = live.soonest[key] = min(
            (_least(lane, live.dead) for lane in _lanes(live.part.columns, key)), default=NEVER
        )
    return known


def among(memory: Memory, located: Located, expiry: Expiry) -> Mask:
    """Which of the located records have expired."""
    gone = np.zeros(len(located.parts), dtype=np.bool_)
    for index in np.unique(located.parts[located.exist]).tolist():
        here = np.flatnonzero(located.parts == index)
        rows = located.rows[here]
        for lane in _lanes(memory.part(index).columns, expiry.key):
            if lane.rows is None:
                gone[here] |= lane.values[rows] <= expiry.now
            else:
                at = np.minimum(np.searchsorted(lane.rows, rows.astype(np.uint32)), lane.entries - 1)
                gone[here] |= (lane.rows[at] == rows) & (lane.values[at] <= expiry.now)
    return gone


def _lanes(columns: Columns, key: str) -> Iterator[Lane]:
    for lane in columns.lanes.get(key, ()):
        if lane.kind in (Kind.INT, Kind.FLOAT) and lane.entries:
            yield lane


def _least(lane: Lane, dead: NDArray[np.bool_] | None) -> float:
    values = lane.values
    if dead is not None:
        values = values[~dead if lane.rows is None else ~dead[lane.rows]]
    return float(values.min()) if len(values) else NEVER
