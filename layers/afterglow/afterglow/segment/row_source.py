"""The vectors of rows gathered from several row groups, read some at a time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.gather import GatherPlan
from afterglow.segment.distance import Vectors
from afterglow.segment.row_group import RowSubset
from afterglow.storage import file_map

Rows = NDArray[np.int64]


class RowSource:
    """Row i is row ``order[i]`` of the concatenated subsets; mapped pages are released every `chunk_bytes`."""

    def __init__(self, subsets: Sequence[RowSubset], order: Rows, chunk_bytes: int) -> None:
        self._subsets = subsets
        self._plan = GatherPlan.of([subset.rows for subset in subsets], order)
        self._chunk_bytes = chunk_bytes
        self._read_bytes = 0
        self.dimension = subsets[0].row_group.vectors.shape[1]

    def __len__(self) -> int:
        return len(self._plan)

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors of these rows, float32 (m, d)."""
        result = np.empty((len(rows), self.dimension), dtype=np.float32)
        sources, source_rows = self._plan.sources[rows], self._plan.rows[rows]
        for number, subset in enumerate(self._subsets):
            positions = np.flatnonzero(sources == number)
            if len(positions):
                result[positions] = subset.row_group.vectors[source_rows[positions]]
        self._read_bytes += result.nbytes
        if self._read_bytes >= self._chunk_bytes:
            self._read_bytes = 0
            for subset in self._subsets:
                file_map.release_pages(subset.row_group.vectors)
        return result

    def largest_norm(self) -> float:
        """The largest squared norm."""
        return max(float(subset.row_group.norms[subset.rows].max(initial=0)) for subset in self._subsets)
