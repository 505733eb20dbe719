"""A part: rows of a collection with all that can be asked of them, in a segment's maps or in a replica's memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import Columns
from afterglow.columns.string_column import Texts
from afterglow.segment.distance import Vectors


@dataclass(frozen=True, slots=True)
class Part:
    """n rows; every member has n of them.

    `ids` are the record ids; `metadatas` are JSON objects, absent where a record has none; `columns` hold the same
    values by key. `ordinals` (int64) order the records by insertion. `vectors` is float32 (n, d), `norms` their
    squared norms, float32.
    """

    ids: Texts
    ordinals: NDArray[np.int64]
    vectors: Vectors
    norms: Vectors
    columns: Columns
    documents: Texts
    uris: Texts
    metadatas: Texts

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.ordinals)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some rows (int64) of a part, to be written into a new segment."""

    part: Part
    rows: NDArray[np.int64]


def insertion_order(chosen: Sequence[Chosen]) -> NDArray[np.int64]:
    """The permutation that sorts the concatenation of the chosen rows by ordinal."""
    ordinals = [each.part.ordinals[each.rows] for each in chosen]
    return np.argsort(np.concatenate(ordinals), kind="stable") if ordinals else np.empty(0, dtype=np.int64)
