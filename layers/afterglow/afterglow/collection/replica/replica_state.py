"""What a replica holds: the checkpoint's segments, which of their rows are dead, and the tail.

Masks are replaced, never changed: whoever took a snapshot keeps a consistent one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica.memtable import Memtable
from afterglow.segment import id_index
from afterglow.segment.hnsw import HnswIndex
from afterglow.segment.manifest import Manifest
from afterglow.segment.postings import Postings
from afterglow.segment.reader import Mask, Segment
from afterglow.segment.row_group import RowGroup

NOT_FOUND = -1


@dataclass(frozen=True, slots=True)
class RowLocations:
    """Where records live: the index of the part (`NOWHERE`: no such record) and the row in it, int64 (n,) each."""

    groups: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def found(self) -> Mask:
        """Which of the records there are."""
        exist: Mask = self.groups != NOT_FOUND
        return exist

    def take(self, places: Mask | NDArray[np.int64]) -> "RowLocations":
        """Some of them."""
        return RowLocations(self.groups[places], self.rows[places])


@dataclass(frozen=True, slots=True)
class RowGroupView:
    """A part in a snapshot; `dead` marks rows that do not count, None where all do.

    `postings` are the inverted lists of a segment's sparse vectors, by key; the tail has none. `soonest` keeps what
    `collection.replica.ttl_filter` found out: when the first living row expires, by metadata key.
    """

    rows: RowGroup
    deleted: Mask | None
    graph: HnswIndex | None = None
    postings: Mapping[str, Postings] = field(default_factory=dict)
    next_expiry: dict[str, float] = field(default_factory=dict, compare=False)


class ReplicaState:
    """Segments in the manifest's order, then the tail as the last part. One thread writes at a time."""

    def __init__(self, manifest: Manifest, segments: Sequence[Segment], dead: Sequence[Mask | None]) -> None:
        self.manifest = manifest
        self.segments = tuple(segments)
        self.deleted = list(dead)
        self._checkpoint_deletions = tuple(dead)
        self.memtable = Memtable()
        self.records = manifest.records
        self.next_row_seq = manifest.next_row_seq
        self._last_row_groups: tuple[RowGroupView, ...] = ()

    def checkpoint_only(self) -> "ReplicaState":
        """The checkpoint alone, as it was before anything was applied."""
        return ReplicaState(self.manifest, self.segments, self._checkpoint_deletions)

    def locate(self, ids: Sequence[str]) -> RowLocations:
        """Where the records of these ids live; the ids may repeat."""
        rows = self.memtable.lookup(ids)
        parts = np.where(rows >= 0, len(self.segments), NOT_FOUND)
        if self.segments and (rows < 0).any():
            hashes = id_index.hash_ids(ids)
            for index, segment in enumerate(self.segments):
                found = segment.lookup(ids, hashes)
                dead = self.deleted[index]
                lives = found >= 0
                if dead is not None:
                    lives[lives] = ~dead[found[lives]]
                fresh = lives & (parts == NOT_FOUND)
                parts[fresh], rows[fresh] = index, found[fresh]
        return RowLocations(parts, rows)

    def row_group(self, index: int) -> RowGroup:
        """The part of this index."""
        return self.memtable.as_row_group() if index == len(self.segments) else self.segments[index].rows

    def delete(self, ids: Sequence[str], located: RowLocations) -> None:
        """Mark the rows of these (distinct, existing) records dead."""
        for index in np.unique(located.groups).tolist():
            here = located.groups == index
            if index == len(self.segments):
                self.memtable.delete([ids[each] for each in np.flatnonzero(here).tolist()])
                continue
            present = self.deleted[index]
            rows = self.segments[index].info.rows
            mask = np.zeros(rows, dtype=np.bool_) if present is None else present.copy()
            mask[located.rows[here]] = True
            self.deleted[index] = mask
        self.records -= len(located.groups)

    def row_groups(self) -> tuple[RowGroupView, ...]:
        """A snapshot of all parts that have rows; a part that did not change is the same as in the one before."""
        pairs = zip(self.segments, self.deleted, strict=True)
        parts = [RowGroupView(segment.rows, dead, segment.graph, segment.postings) for segment, dead in pairs]
        if len(self.memtable):
            parts.append(RowGroupView(self.memtable.as_row_group(), self.memtable.deleted))
        self._last_row_groups = tuple(
            old if old is not None and old.rows is new.rows and old.deleted is new.deleted else new
            for old, new in zip_longest(self._last_row_groups, parts)
        )
        return self._last_row_groups
