"""Records in the order of their scores: from the numbers that expressions give to records to rows of the snapshot.

An expression numbers the records of all row groups consecutively.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica import row_data
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.ranking import ScoreSet
from afterglow.segment.distance import Vectors


@dataclass(frozen=True, slots=True)
class RankedRows:
    """Records in order: row group index and row, int64 (n,) each, and their scores, float32 (n,)."""

    groups: NDArray[np.int64]
    rows: NDArray[np.int64]
    scores: Vectors

    def take(self, indices: NDArray[np.int64] | slice) -> "RankedRows":
        """Some of the records, in the order of the indices."""
        return RankedRows(self.groups[indices], self.rows[indices], self.scores[indices])


def bases(snapshot: Snapshot) -> NDArray[np.int64]:
    """The number of the first record of each row group, and one for the end, int64 (groups + 1,)."""
    return np.cumsum([0, *(group.rows.rows for group in snapshot.row_groups)])


def in_order(snapshot: Snapshot, scored: ScoreSet) -> RankedRows:
    """The records of a score set by score, ascending, NaN last; ties go by insertion order."""
    starts = bases(snapshot)
    groups = np.searchsorted(starts, scored.records, side="right") - 1
    rows = scored.records - starts[groups]
    order = np.lexsort((row_data.row_seqs(snapshot.row_groups, groups, rows), scored.scores))
    return RankedRows(groups, rows, scored.scores).take(order)
