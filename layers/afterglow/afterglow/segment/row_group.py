"""A part: rows of a collection with all that can be asked of them, in a segment's maps or in a replica's memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import ColumnSet
from afterglow.columns.string_column import StringColumn
from afterglow.segment.distance import Vectors


@dataclass(frozen=True, slots=True)
class RowGroup:
    """n rows; every member has n of them.

    `ids` are the record ids; `metadatas` are JSON objects, absent where a record has none; `columns` hold the same
    values by key. `ordinals` (int64) order the records by insertion. `vectors` is float32 (n, d), `norms` their
    squared norms, float32.
    """

    ids: StringColumn
    row_seqs: NDArray[np.int64]
    vectors: Vectors
    norms: Vectors
    columns: ColumnSet
    documents: StringColumn
    uris: StringColumn
    metadatas: StringColumn

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.row_seqs)


@dataclass(frozen=True, slots=True)
class RowSubset:
    """Some rows (int64) of a part, to be written into a new segment."""

    row_group: RowGroup
    rows: NDArray[np.int64]


def insertion_order(chosen: Sequence[RowSubset]) -> NDArray[np.int64]:
    """The permutation that sorts the concatenation of the chosen rows by ordinal."""
    ordinals = [each.row_group.row_seqs[each.rows] for each in chosen]
    return np.argsort(np.concatenate(ordinals), kind="stable") if ordinals else np.empty(0, dtype=np.int64)
