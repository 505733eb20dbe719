"""Whole numbers and codes of strings in as few bytes as they need, for readers that wait for bytes.

A column has eight bytes for a number and four for the code of a string, mostly zeros. The file `narrow` of a clustered
segment has such a column once more, where that saves at least half:

    "0", "1", …   u1 (n, 1, 2 or 4)   value − base, little-endian, in the order of the column in the file `rows`
    meta          for each array the key, the type and the base

A reader over a store that evicts reads these instead of the values in `rows`, and widens them; a local one maps `rows`.
The file is read by blocks and is optional.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.segment import array_file
from afterglow.segment.block_file import BlockFile

NARROW = "narrow"
VERSION = 1
_TYPES = (ColumnType.INT, ColumnType.STR)


@dataclass(frozen=True, slots=True)
class NarrowColumn:
    """The array of a column in the file, and what is to be added to its values."""

    array: str
    base: int


class NarrowColumns:
    """The open file. Safe for any number of threads."""

    def __init__(self, file: BlockFile, columns: Mapping[tuple[str, ColumnType], NarrowColumn]) -> None:
        self.file = file
        self._columns = columns

    @staticmethod
    def of(file: BlockFile) -> "NarrowColumns | None":
        """The columns; None for a file of a newer release. Raises KeyError, TypeError, ValueError if it is damaged."""
        meta = file.layout.meta
        if meta["version"] != VERSION:
            return None
        columns = {
            (str(key), ColumnType(kind)): NarrowColumn(str(number), int(base))
            for number, (key, kind, base) in enumerate(meta["columns"])
        }
        if not {file.layout.span(column.array)[2] for column in columns.values()} <= {1, 2, 4}:
            raise ValueError("a narrow column has values of another width")
        return NarrowColumns(file, columns)

    def find(self, key: str, column_type: ColumnType) -> NarrowColumn | None:
        """The column of a key and type, None where it is not in the file."""
        return self._columns.get((key, column_type))

    def values(self, narrow: NDArray[np.uint8], column: NarrowColumn, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The values of an array (n, width) of the file, in the dtype of the column."""
        found = narrow.view(f"<u{narrow.shape[1]}")[:, 0].astype(dtype)
        if column.base:
            found += column.base
        return found


def write(path: Path, columns: ColumnSet) -> str | None:
    """Write the file; its checksum. None, and no file, where no column gets narrow enough."""
    described: list[list[Any]] = []
    arrays: dict[str, NDArray[np.uint8]] = {}
    for key, of_key in columns.columns.items():
        for column in of_key:
            fitted = _fit(column) if column.type in _TYPES and column.count else None
            if fitted is not None:
                base, width = fitted
                described.append([key, column.type.value, base])
                values = (column.values - base).astype(f"<u{width}")
                arrays[str(len(arrays))] = values[:, np.newaxis].view(np.uint8)
    if not arrays:
        return None
    return array_file.write(path, NARROW, {"version": VERSION, "columns": described}, arrays)


def _fit(column: Column) -> tuple[int, int] | None:
    """The base and the width in bytes; None where it saves less than half."""
    low, high = int(column.values.min()), int(column.values.max())
    base = low if column.type is ColumnType.INT else 0
    width = next((width for width in (1, 2, 4) if high - base < 256**width), column.values.itemsize)
    return (base, width) if 2 * width <= column.values.itemsize else None
