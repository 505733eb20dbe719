"""What a replica holds: the checkpoint's segments, which of their rows are dead, and the tail.

Masks are replaced, never changed: whoever took a snapshot keeps a consistent one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica.memtable import Tail
from afterglow.segment import id_index
from afterglow.segment.hnsw import Graph
from afterglow.segment.manifest import Manifest
from afterglow.segment.postings import Postings
from afterglow.segment.reader import Mask, Segment
from afterglow.segment.row_group import Part

NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Located:
    """Where records live: the index of the part (`NOWHERE`: no such record) and the row in it, int64 (n,) each."""

    parts: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def exist(self) -> Mask:
        """Which of the records there are."""
        exist: Mask = self.parts != NOWHERE
        return exist

    def chosen(self, places: Mask | NDArray[np.int64]) -> "Located":
        """Some of them."""
        return Located(self.parts[places], self.rows[places])


@dataclass(frozen=True, slots=True)
class LivePart:
    """A part in a snapshot; `dead` marks rows that do not count, None where all do.

    `postings` are the inverted lists of a segment's sparse vectors, by key; the tail has none. `soonest` keeps what
    `collection.replica.ttl_filter` found out: when the first living row expires, by metadata key.
    """

    part: Part
    dead: Mask | None
    graph: Graph | None = None
    postings: Mapping[str, Postings] = field(default_factory=dict)
    soonest: dict[str, float] = field(default_factory=dict, compare=False)


class Memory:
    """Segments in the manifest's order, then the tail as the last part. One thread writes at a time."""

    def __init__(self, manifest: Manifest, segments: Sequence[Segment], dead: Sequence[Mask | None]) -> None:
        self.manifest = manifest
        self.segments = tuple(segments)
        self.dead = list(dead)
        self._settled = tuple(dead)
        self.tail = Tail()
        self.records = manifest.records
        self.next_ordinal = manifest.next_ordinal
        self._shown: tuple[LivePart, ...] = ()

    def indexed(self) -> "Memory":
        """The checkpoint alone, as it was before anything was applied."""
        return Memory(self.manifest, self.segments, self._settled)

    def locate(self, ids: Sequence[str]) -> Located:
        """Where the records of these ids live; the ids may repeat."""
        rows = self.tail.find(ids)
        parts = np.where(rows >= 0, len(self.segments), NOWHERE)
        if self.segments and (rows < 0).any():
            hashes = id_index.hashes_of(ids)
            for index, segment in enumerate(self.segments):
                found = segment.find(ids, hashes)
                dead = self.dead[index]
                lives = found >= 0
                if dead is not None:
                    lives[lives] = ~dead[found[lives]]
                fresh = lives & (parts == NOWHERE)
                parts[fresh], rows[fresh] = index, found[fresh]
        return Located(parts, rows)

    def part(self, index: int) -> Part:
        """The part of this index."""
        return self.tail.part() if index == len(self.segments) else self.segments[index].part

    def kill(self, ids: Sequence[str], located: Located) -> None:
        """Mark the rows of these (distinct, existing) records dead."""
        for index in np.unique(located.parts).tolist():
            here = located.parts == index
            if index == len(self.segments):
                self.tail.kill([ids[each] for each in np.flatnonzero(here).tolist()])
                continue
            present = self.dead[index]
            rows = self.segments[index].info.rows
            mask = np.zeros(rows, dtype=np.bool_) if present is None else present.copy()
            mask[located.rows[here]] = True
            self.dead[index] = mask
        self.records -= len(located.parts)

    def parts(self) -> tuple[LivePart, ...]:
        """A snapshot of all parts that have rows; a part that did not change is the same as in the one before."""
        pairs = zip(self.segments, self.dead, strict=True)
        parts = [LivePart(segment.part, dead, segment.graph, segment.postings) for segment, dead in pairs]
        if len(self.tail):
            parts.append(LivePart(self.tail.part(), self.tail.dead))
        self._shown = tuple(
            old if old is not None and old.part is new.part and old.dead is new.dead else new
            for old, new in zip_longest(self._shown, parts)
        )
        return self._shown
