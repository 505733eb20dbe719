"""The tail: the rows that the log adds to the checkpoint, in memory.

Rows are only appended. A replaced or deleted row is marked dead in a new copy of the mask, so that a `Part` and a mask
once handed out never change: a reader needs no lock after it has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.columns.arrays import Buffer
from afterglow.columns.builder import GrowingColumns
from afterglow.columns.string_column import GrowingTexts
from afterglow.segment import distance
from afterglow.segment.distance import Vectors
from afterglow.segment.row_group import Part

MISSING = -1


@dataclass(frozen=True, slots=True)
class Additions:
    """Rows to append: n of everything. `ordinals` is int64, `vectors` float32 (n, d), the texts are UTF-8."""

    ids: Sequence[str]
    ordinals: NDArray[np.int64]
    vectors: Vectors
    documents: Sequence[bytes | None]
    uris: Sequence[bytes | None]
    metadatas: Sequence[Mapping[str, Any] | None]


class Tail:
    """Rows in memory. One thread writes at a time."""

    def __init__(self) -> None:
        self.live: dict[str, int] = {}
        """The row of each record that lives here."""
        self.dead: NDArray[np.bool_] | None = None
        self._ids = GrowingTexts()
        self._documents = GrowingTexts()
        self._uris = GrowingTexts()
        self._metadatas = GrowingTexts()
        self._columns = GrowingColumns()
        self._ordinals = Buffer(np.int64)
        self._norms = Buffer(np.float32)
        self._vectors: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)
        self._part: Part | None = None

    def __len__(self) -> int:
        return len(self._ordinals)

    def append(self, added: Additions) -> None:
        """Add one row per id, none of which may live here."""
        first = len(self)
        self._extend_vectors(added.vectors)
        self._ids.append([each.encode() for each in added.ids])
        self._ordinals.extend(added.ordinals)
        self._norms.extend(distance.squares(added.vectors))
        self._documents.append(added.documents)
        self._uris.append(added.uris)
        self._columns.append(added.metadatas)
        self._metadatas.append([None if each is None else orjson.dumps(each) for each in added.metadatas])
        self.live.update(zip(added.ids, range(first, first + len(added.ids)), strict=True))
        if self.dead is not None:
            self.dead = np.concatenate([self.dead, np.zeros(len(added.ids), dtype=np.bool_)])
        self._part = None

    def find(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The row of each id, `MISSING` where the record does not live here."""
        get = self.live.get
        return np.fromiter((get(each, MISSING) for each in ids), dtype=np.int64, count=len(ids))

    def kill(self, ids: Sequence[str]) -> None:
        """Mark the rows of these records dead; all of them live here."""
        rows = [self.live.pop(each) for each in ids]
        self.dead = np.zeros(len(self), dtype=np.bool_) if self.dead is None else self.dead.copy()
        self.dead[rows] = True

    def part(self) -> Part:
        """All rows so far; later appends do not disturb it."""
        if self._part is None:
            self._part = Part(
                ids=self._ids.view(),
                ordinals=self._ordinals.view(),
                vectors=self._vectors[: len(self)],
                norms=self._norms.view(),
                columns=self._columns.view(),
                documents=self._documents.view(),
                uris=self._uris.view(),
                metadatas=self._metadatas.view(),
            )
        return self._part

    def _extend_vectors(self, vectors: Vectors) -> None:
        end = len(self) + len(vectors)
        if end > len(self._vectors):
            grown = np.empty((max(end, 2 * len(self._vectors), 16), vectors.shape[1]), dtype=np.float32)
            if len(self):
                grown[: len(self)] = self._vectors[: len(self)]
            self._vectors = grown
        self._vectors[len(self) : end] = vectors
