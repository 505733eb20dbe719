"""Typed columns: the values of one metadata key in one type, and the set of columns of a row group.

A key whose records mix types has one column per type. A column costs memory for its values, not for the rows of its
row group, so ten thousand keys of one record each stay small.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.dictionary import Dictionary


class ColumnType(StrEnum):
    """The type of a metadata value. A bool is no number; an int is not a float, though filters compare the two."""

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
        """Whether values of this type are lists; a sparse vector is none."""
        return self in LIST_TYPE.values()

    @property
    def is_variable_length(self) -> bool:
        """Whether a value is a variable number of items: a list, or the components of a sparse vector."""
        return self.is_list or self is ColumnType.SPARSE

    @property
    def item_type(self) -> "ColumnType":
        """The type of the items of a list; any other type is its own."""
        return ITEM_TYPE[self]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of the values (of a variable-length type: the items); strings are codes of the dictionary."""
        return NUMPY_TYPE[self.item_type]


LIST_TYPE = {
    ColumnType.BOOL: ColumnType.BOOL_LIST,
    ColumnType.INT: ColumnType.INT_LIST,
    ColumnType.FLOAT: ColumnType.FLOAT_LIST,
    ColumnType.STR: ColumnType.STR_LIST,
}
ITEM_TYPE = {scalar: scalar for scalar in (*LIST_TYPE, ColumnType.SPARSE)} | {
    list_type: item for item, list_type in LIST_TYPE.items()
}
NUMPY_TYPE: dict[ColumnType, np.dtype[Any]] = {
    ColumnType.BOOL: np.dtype(np.bool_),
    ColumnType.INT: np.dtype(np.int64),
    ColumnType.FLOAT: np.dtype(np.float64),
    ColumnType.STR: np.dtype(np.uint32),
    ColumnType.SPARSE: np.dtype(np.float32),
}


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one key of one type, one entry per row that has a value.

    row_ids: uint32, strictly ascending, the row of each entry; None where every row of the row group has a value.
    values: bool_, int64, float64, or uint32 codes of `dictionary`; for list types the items of all entries, for sparse
    vectors float32, their components.
    offsets: uint64, count + 1, lists and sparse vectors only: entry i holds values[offsets[i]:offsets[i + 1]], never
    empty except for a sparse vector without components.
    dictionary: string types only.
    indices: sparse vectors only: uint32, the dimension of each component, ascending within an entry.
    """

    type: ColumnType
    row_ids: NDArray[np.uint32] | None
    values: NDArray[Any]
    offsets: NDArray[np.uint64] | None = None
    dictionary: Dictionary | None = None
    indices: NDArray[np.uint32] | None = None

    @property
    def count(self) -> int:
        """How many rows have a value here."""
        return len(self.values) if self.offsets is None else len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class ColumnSet:
    """The metadata of a row group: `rows` rows, and for each key its columns, at most one of a type."""

    rows: int
    columns: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)

    def column(self, key: str, column_type: ColumnType) -> Column | None:
        """The column of `key` of that type, None where no row has such a value."""
        return next((column for column in self.columns.get(key, ()) if column.type is column_type), None)
