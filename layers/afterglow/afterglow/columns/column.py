"""Lanes: the values that one metadata key takes in one kind, and the columns they make together.

A key whose records mix kinds has one lane per kind. A lane costs what its values cost, never the rows of its part, so
ten thousand keys of one record each stay small.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.dictionary import Vocabulary


class Kind(StrEnum):
    """What a metadata value is. A bool is no number; an int is not a float, though filters compare the two."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    STR = "str"
    BOOL_LIST = "bool_list"
    INT_LIST = "int_list"
    FLOAT_LIST = "float_list"
    STR_LIST = "str_list"
    SPARSE = "sparse"

    @property
    def is_list(self) -> bool:
        """Whether values of this kind are arrays; a sparse vector is none."""
        return self in LIST_OF.values()

    @property
    def is_ragged(self) -> bool:
        """Whether a value is some number of items: a list, or the components of a sparse vector."""
        return self.is_list or self is Kind.SPARSE

    @property
    def item(self) -> "Kind":
        """The kind of the items of a list; any other kind is its own."""
        return ITEM_OF[self]

    @property
    def dtype(self) -> np.dtype[Any]:
        """How the values (of a ragged kind: the items) are held; strings as codes of the lane's vocabulary."""
        return DTYPE_OF[self.item]


LIST_OF = {
    Kind.BOOL: Kind.BOOL_LIST,
    Kind.INT: Kind.INT_LIST,
    Kind.FLOAT: Kind.FLOAT_LIST,
    Kind.STR: Kind.STR_LIST,
}
ITEM_OF = {kind: kind for kind in (*LIST_OF, Kind.SPARSE)} | {many: one for one, many in LIST_OF.items()}
DTYPE_OF: dict[Kind, np.dtype[Any]] = {
    Kind.BOOL: np.dtype(np.bool_),
    Kind.INT: np.dtype(np.int64),
    Kind.FLOAT: np.dtype(np.float64),
    Kind.STR: np.dtype(np.uint32),
    Kind.SPARSE: np.dtype(np.float32),
}


@dataclass(frozen=True, slots=True)
class Lane:
    """The values of one key of one kind, one entry per row that has one.

    rows: uint32, strictly ascending, the row of each entry; None where every row of the part has a value.
    values: bool_, int64, float64, or uint32 codes of `vocabulary`; for list kinds the items of all entries, for sparse
    vectors float32, their components.
    offsets: uint64, entries + 1, lists and sparse vectors only: entry i holds values[offsets[i]:offsets[i + 1]], never
    empty but for a sparse vector without components.
    vocabulary: kinds of strings only.
    indices: sparse vectors only: uint32, the dimension of each component, ascending within an entry.
    """

    kind: Kind
    rows: NDArray[np.uint32] | None
    values: NDArray[Any]
    offsets: NDArray[np.uint64] | None = None
    vocabulary: Vocabulary | None = None
    indices: NDArray[np.uint32] | None = None

    @property
    def entries(self) -> int:
        """How many rows have a value here."""
        return len(self.values) if self.offsets is None else len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class Columns:
    """The metadata of a part: `rows` rows, and for each key its lanes, at most one of a kind."""

    rows: int
    lanes: Mapping[str, tuple[Lane, ...]] = field(default_factory=dict)

    def lane(self, key: str, kind: Kind) -> Lane | None:
        """The lane of `key` of that kind, None where no row has such a value."""
        return next((lane for lane in self.lanes.get(key, ()) if lane.kind is kind), None)
