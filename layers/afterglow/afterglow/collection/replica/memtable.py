"""The memtable: the rows that the log adds to the checkpoint, in memory.

Rows are only appended. A replaced or deleted row is marked in a new copy of the deletion vector, so a `RowGroup` and a
deletion vector never change after they are handed out: readers need no lock for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.columns.arrays import GrowableArray
from afterglow.columns.builder import ColumnSetBuilder
from afterglow.columns.string_column import StringColumnBuilder
from afterglow.segment import distance
from afterglow.segment.distance import Vectors
from afterglow.segment.row_group import RowGroup
from afterglow.segment.scan_codes import LazyScanCodes

MISSING = -1


@dataclass(frozen=True, slots=True)
class NewRows:
    """n rows to append: `row_seqs` int64 (n,), `vectors` float32 (n, d), documents and uris in UTF-8."""

    ids: Sequence[str]
    row_seqs: NDArray[np.int64]
    vectors: Vectors
    documents: Sequence[bytes | None]
    uris: Sequence[bytes | None]
    metadatas: Sequence[Mapping[str, Any] | None]


class Memtable:
    """Rows in memory. One thread writes at a time."""

    def __init__(self) -> None:
        self.row_of_id: dict[str, int] = {}
        """The row of each live record of the memtable."""
        self.deleted: NDArray[np.bool_] | None = None
        self._ids = StringColumnBuilder()
        self._documents = StringColumnBuilder()
        self._uris = StringColumnBuilder()
        self._metadatas = StringColumnBuilder()
        self._columns = ColumnSetBuilder()
        self._row_seqs = GrowableArray(np.int64)
        self._norms = GrowableArray(np.float32)
        self._vectors: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)
        self._row_group: RowGroup | None = None
        self.scan_codes = LazyScanCodes()

    def __len__(self) -> int:
        return len(self._row_seqs)

    @property
    def components(self) -> int:
        """The number of components of all vectors."""
        return len(self) * int(self._vectors.shape[1])

    def append(self, new: NewRows) -> None:
        """Add one row per id. None of the ids may be live here."""
        first = len(self)
        self._extend_vectors(new.vectors)
        self._ids.append([name.encode() for name in new.ids])
        self._row_seqs.extend(new.row_seqs)
        self._norms.extend(distance.squared_norms(new.vectors))
        self._documents.append(new.documents)
        self._uris.append(new.uris)
        self._columns.append(new.metadatas)
        self._metadatas.append([None if value is None else orjson.dumps(value) for value in new.metadatas])
        self.row_of_id.update(zip(new.ids, range(first, first + len(new.ids)), strict=True))
        if self.deleted is not None:
            self.deleted = np.concatenate([self.deleted, np.zeros(len(new.ids), dtype=np.bool_)])
        self._row_group = None

    def lookup(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The row of each id, `MISSING` where no live record has it."""
        get = self.row_of_id.get
        return np.fromiter((get(name, MISSING) for name in ids), dtype=np.int64, count=len(ids))

    def delete(self, ids: Sequence[str]) -> None:
        """Mark the rows of these records deleted; all of them are live here."""
        rows = [self.row_of_id.pop(name) for name in ids]
        self.deleted = np.zeros(len(self), dtype=np.bool_) if self.deleted is None else self.deleted.copy()
        self.deleted[rows] = True

    def as_row_group(self) -> RowGroup:
        """All rows so far; later appends do not change it."""
        if self._row_group is None:
            self._row_group = RowGroup(
                ids=self._ids.snapshot(),
                row_seqs=self._row_seqs.snapshot(),
                vectors=self._vectors[: len(self)],
                norms=self._norms.snapshot(),
                columns=self._columns.snapshot(),
                documents=self._documents.snapshot(),
                uris=self._uris.snapshot(),
                metadatas=self._metadatas.snapshot(),
                scan_codes=self.scan_codes,
            )
        return self._row_group

    def _extend_vectors(self, vectors: Vectors) -> None:
        end = len(self) + len(vectors)
        if end > len(self._vectors):
            grown = np.empty((max(end, 2 * len(self._vectors), 16), vectors.shape[1]), dtype=np.float32)
            if len(self):
                grown[: len(self)] = self._vectors[: len(self)]
            self._vectors = grown
        self._vectors[len(self) : end] = vectors
