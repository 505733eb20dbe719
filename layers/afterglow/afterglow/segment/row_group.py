"""The row group: rows of a collection with all their data, in the maps of a segment or in a replica's memtable."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import ColumnSet
from afterglow.columns.string_column import StringColumn
from afterglow.segment.distance import Vectors
from afterglow.segment.scan_codes import LazyScanCodes


@dataclass(frozen=True, slots=True)
class RowGroup:
    """n rows; every field has n of them.

    `ids` are the record ids; `metadatas` are JSON objects, absent where a record has none; `columns` hold the same
    values by key. `row_seqs` (int64) order the records by insertion. `vectors` is float32 (n, d), `norms` their
    squared norms, float32. Rows that every query scans have `scan_codes`, which make that quicker.
    """

    ids: StringColumn
    row_seqs: NDArray[np.int64]
    vectors: Vectors
    norms: Vectors
    columns: ColumnSet
    documents: StringColumn
    uris: StringColumn
    metadatas: StringColumn
    scan_codes: LazyScanCodes | None = None

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.row_seqs)


@dataclass(frozen=True, slots=True)
class RowSubset:
    """Some rows (int64) of a row group, to be written to a new segment."""

    row_group: RowGroup
    rows: NDArray[np.int64]


def insertion_order(subsets: Sequence[RowSubset]) -> NDArray[np.int64]:
    """The permutation that sorts the concatenated rows of the subsets by insertion sequence number."""
    row_seqs = [subset.row_group.row_seqs[subset.rows] for subset in subsets]
    return np.argsort(np.concatenate(row_seqs), kind="stable") if row_seqs else np.empty(0, dtype=np.int64)
