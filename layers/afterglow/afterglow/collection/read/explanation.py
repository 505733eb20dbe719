"""How a read was executed: the rows it looked at, the method for each row group, and whether recall may be lost.

A caller that wants to know passes an `Explanation`, which the read path fills; without one nothing is recorded. At most
`MAX_ENTRIES` of its entries are kept, so that the explanation of a large request stays small; the totals count all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from afterglow.collection.replica.snapshot import Snapshot
from afterglow.filters import ast
from afterglow.segment.reader import Mask

MAX_ENTRIES = 1_000


class Method(StrEnum):
    """How the nearest rows of a row group are found."""

    NONE = "none"
    """Not at all: the filter leaves no row."""
    SCAN = "scan"
    """Every row inside the filter is compared; exact."""
    GRAPH = "graph"
    """An HNSW graph; approximate."""
    LISTS = "lists"
    """The nearest lists of an inverted file; approximate."""
    COVERING = "covering"
    """The rows inside the filter, by their codes in a covering index; approximate."""
    POSTINGS = "postings"
    """The inverted lists of a sparse query's terms; exact."""


@dataclass(slots=True)
class GroupStep:
    """One row group in a nearest-neighbour search.

    `rows` includes deleted rows, `matching` are inside the filter. `index` is the index that the group has, if any,
    `breadth` the largest number of nodes kept while searching a graph (ef), of lists read, or of terms with postings,
    `of` how many lists there were. `compared` counts distances or postings, for all vectors together. `recall` is what
    the breadth promises, None: nothing is promised, or `method` is exact.
    """

    rows: int
    matching: int
    index: Method | None
    method: Method = Method.NONE
    breadth: int | None = None
    of: int | None = None
    compared: int = 0
    recall: float | None = None

    @property
    def may_lose_recall(self) -> bool:
        """Whether a nearer row may be missing."""
        return self.method in (Method.GRAPH, Method.LISTS, Method.COVERING)


@dataclass(slots=True)
class KnnSteps:
    """A search for the `k` nearest rows of each of several vectors, row group by row group."""

    key: str
    k: int
    vectors: int
    groups: list[GroupStep] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RerankStep:
    """A cross-encoder's scores: of the first `limit` records of an expression, `documents` had a text."""

    limit: int
    documents: int


@dataclass(slots=True)
class SearchSteps:
    """One search: the rows of the snapshot, those that the filter leaves, and its nearest-neighbour searches.

    `reranked` has its `$rerank`, an inner one before the one around it.
    """

    rows: int = 0
    matching: int = 0
    conditions: int = 0
    reads_documents: bool = False
    neighbors: list[KnnSteps] = field(default_factory=list)
    reranked: list[RerankStep] = field(default_factory=list)


@dataclass(slots=True)
class Explanation:
    """The steps of one read, in order; `left_out` of them were not kept.

    `records` are the live records of the snapshot, `applied_seq` its last log entry.
    """

    records: int = 0
    row_groups: int = 0
    applied_seq: int = 0
    may_lose_recall: bool = False
    left_out: int = 0
    searches: list[SearchSteps] = field(default_factory=list)
    _entries: int = 0

    def snapshot(self, snapshot: Snapshot) -> None:
        """Record the snapshot of the read."""
        self.records, self.row_groups = snapshot.records, len(snapshot.row_groups)
        self.applied_seq = snapshot.applied_seq

    def filter(self, snapshot: Snapshot, masks: Sequence[Mask | None], filters: Sequence[ast.Filter]) -> SearchSteps:
        """Record a search with its row masks; returns its steps, to which its neighbours are added."""
        rows = [group.rows.rows for group in snapshot.row_groups]
        matching = sum(
            count if mask is None else int(np.count_nonzero(mask)) for count, mask in zip(rows, masks, strict=True)
        )
        conditions = sum(1 for condition in filters for _ in ast.leaves(condition))
        steps = SearchSteps(sum(rows), matching, conditions, any(map(ast.reads_documents, filters)))
        if self._has_room():
            self.searches.append(steps)
        return steps

    def knn(self, search: SearchSteps, knn: KnnSteps) -> None:
        """Record a nearest-neighbour search of `search`, when it is done."""
        self.may_lose_recall |= any(step.may_lose_recall for step in knn.groups)
        if self._has_room():
            search.neighbors.append(replace(knn, groups=[step for step in knn.groups if self._has_room()]))

    def rerank(self, search: SearchSteps, steps: Sequence[RerankStep]) -> None:
        """Record the reranking of `search`."""
        search.reranked.extend(step for step in steps if self._has_room())

    def _has_room(self) -> bool:
        self._entries += 1
        self.left_out += self._entries > MAX_ENTRIES
        return self._entries <= MAX_ENTRIES
