"""The state of a replica: the checkpoint's segments with their deletion vectors, and the memtable.

Deletion vectors are replaced, never changed in place: a snapshot stays consistent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica.memtable import Memtable
from afterglow.segment import id_index, rounds
from afterglow.segment.hnsw import HnswIndex
from afterglow.segment.list_index import ListIndex, likely_places_of_ids, read_roots
from afterglow.segment.manifest import Manifest
from afterglow.segment.postings import Postings
from afterglow.segment.reader import Mask, Segment
from afterglow.segment.row_group import RowGroup
from afterglow.segment.stored_postings import RangedPostings

NOT_FOUND = -1


@dataclass(frozen=True, slots=True)
class RowLocations:
    """Row group index (`NOT_FOUND`: no such record) and row of records, int64 (n,) each."""

    groups: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def found(self) -> Mask:
        """Mask of the records that exist."""
        exist: Mask = self.groups != NOT_FOUND
        return exist

    def take(self, subset: Mask | NDArray[np.int64]) -> "RowLocations":
        """The locations of a subset, given by mask or by indices."""
        return RowLocations(self.groups[subset], self.rows[subset])


@dataclass(frozen=True, slots=True)
class RowGroupView:
    """A row group in a snapshot with its deletion vector `deleted`, None where no row is deleted.

    `postings` are the inverted index of a segment's sparse vectors, by key; the memtable has none. `next_expiry` is a
    cache of `collection.replica.ttl_filter`: when the first live row expires (Unix seconds), by metadata key.
    """

    rows: RowGroup
    deleted: Mask | None
    graph: HnswIndex | None = None
    lists: ListIndex | None = None
    postings: Mapping[str, Postings | RangedPostings] = field(default_factory=dict)
    next_expiry: dict[str, float] = field(default_factory=dict, compare=False)


class ReplicaState:
    """Segments in the manifest's order, then the memtable as the last row group. One thread writes at a time."""

    def __init__(self, manifest: Manifest, segments: Sequence[Segment], deleted: Sequence[Mask | None]) -> None:
        self.manifest = manifest
        self.segments = tuple(segments)
        self.deleted = list(deleted)
        self._checkpoint_deletions = tuple(deleted)
        self.memtable = Memtable()
        self.records = manifest.records
        self.next_row_seq = manifest.next_row_seq
        self._last_row_groups: tuple[RowGroupView, ...] = ()
        self._known: dict[str, NDArray[np.int64]] = {}

    def checkpoint_only(self) -> "ReplicaState":
        """The checkpoint alone, without the applied log entries."""
        return ReplicaState(self.manifest, self.segments, self._checkpoint_deletions)

    def locate(self, ids: Sequence[str]) -> RowLocations:
        """The locations of the records with these ids; ids may repeat."""
        rows = self.memtable.lookup(ids)
        groups = np.where(rows >= 0, len(self.segments), NOT_FOUND)
        if self.segments and (rows < 0).any():
            for index, segment_rows in enumerate(self._find(ids)):
                deleted = self.deleted[index]
                is_live = segment_rows >= 0
                if deleted is not None:
                    is_live[is_live] = ~deleted[segment_rows[is_live]]
                is_new = is_live & (groups == NOT_FOUND)
                groups[is_new], rows[is_new] = index, segment_rows[is_new]
        return RowLocations(groups, rows)

    def look_ahead(self, ids: Sequence[str]) -> None:
        """Find the rows of these ids in the segments, so that `locate` of any of them reads nothing; until the next."""
        self._known = {}
        self._known = dict(zip(ids, np.stack(self._find(ids), axis=1), strict=True)) if self.segments and ids else {}

    def _find(self, ids: Sequence[str]) -> Sequence[NDArray[np.int64]]:
        """The row of each id in each segment, deleted or not."""
        known = [self._known[name] for name in ids if name in self._known] if self._known else []
        if known and len(known) == len(ids):
            return list(np.stack(known, axis=1))
        hashes = id_index.hash_ids(ids)
        indexes = [segment.lists for segment in self.segments]
        read_roots(indexes, search=False, rows=True, extra=lambda: likely_places_of_ids(indexes, ids))
        finders = [segment.find(ids, hashes) for segment in self.segments]
        return rounds.run_together(self.segments[0].objects, finders)

    def row_group(self, index: int) -> RowGroup:
        """The row group of this index."""
        return self.view(index).rows

    def view(self, index: int) -> RowGroupView:
        """The row group of this index, as in a snapshot."""
        if index == len(self.segments):
            return RowGroupView(self.memtable.as_row_group(), self.memtable.deleted)
        segment = self.segments[index]
        return RowGroupView(segment.rows, self.deleted[index], segment.graph, segment.lists, segment.postings)

    def delete(self, ids: Sequence[str], locations: RowLocations) -> None:
        """Mark the rows of these (distinct, existing) records deleted."""
        for index in np.unique(locations.groups).tolist():
            in_group = locations.groups == index
            if index == len(self.segments):
                self.memtable.delete([ids[number] for number in np.flatnonzero(in_group).tolist()])
                continue
            deleted = self.deleted[index]
            rows = self.segments[index].info.rows
            mask = np.zeros(rows, dtype=np.bool_) if deleted is None else deleted.copy()
            mask[locations.rows[in_group]] = True
            self.deleted[index] = mask
        self.records -= len(locations.groups)

    def row_groups(self) -> tuple[RowGroupView, ...]:
        """A snapshot of all row groups that have rows; unchanged groups are the same objects as in the last one."""
        last = self._last_row_groups
        if not len(self.memtable) and list(map(id, self.deleted)) == [id(view.deleted) for view in last]:
            return last
        groups = [self.view(index) for index in range(len(self.segments) + bool(len(self.memtable)))]
        self._last_row_groups = tuple(
            old if old is not None and old.rows is new.rows and old.deleted is new.deleted else new
            for old, new in zip_longest(self._last_row_groups, groups)
        )
        return self._last_row_groups


def make_scan_codes(groups: Sequence[RowGroupView]) -> None:
    """Make the codes by which scans of the row groups without an index are quick, so that no read has to."""
    for group in groups:
        if group.rows.scan_codes is not None:
            group.rows.scan_codes.make(group.rows.vectors, group.rows.norms)
