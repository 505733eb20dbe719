"""The row group of a clustered segment: a file is opened when something needs a field of all its rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import ColumnSet
from afterglow.columns.string_column import StringColumn
from afterglow.segment.distance import Vectors
from afterglow.segment.row_group import RowGroup


class LazyRowGroup(RowGroup):
    """n rows, whose number is known. `read` returns a field by its name; it must return the same object each time."""

    __slots__ = ("_count", "_read")

    _count: int
    _read: Callable[[str], Any]

    def __init__(self, count: int, read: Callable[[str], Any]) -> None:
        object.__setattr__(self, "_count", count)
        object.__setattr__(self, "_read", read)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self._count

    @property
    def ids(self) -> StringColumn:
        """The record ids."""
        value: StringColumn = self._read("ids")
        return value

    @property
    def row_seqs(self) -> NDArray[np.int64]:
        """The insertion sequence numbers."""
        value: NDArray[np.int64] = self._read("row_seqs")
        return value

    @property
    def vectors(self) -> Vectors:
        """The exact vectors."""
        value: Vectors = self._read("vectors")
        return value

    @property
    def norms(self) -> Vectors:
        """The squared norms."""
        value: Vectors = self._read("norms")
        return value

    @property
    def scan_codes(self) -> None:
        """None: the lists have codes."""
        return

    @property
    def columns(self) -> ColumnSet:
        """The metadata by key."""
        value: ColumnSet = self._read("columns")
        return value

    @property
    def documents(self) -> StringColumn:
        """The documents."""
        value: StringColumn = self._read("documents")
        return value

    @property
    def uris(self) -> StringColumn:
        """The URIs."""
        value: StringColumn = self._read("uris")
        return value

    @property
    def metadatas(self) -> StringColumn:
        """The metadata objects."""
        value: StringColumn = self._read("metadatas")
        return value
