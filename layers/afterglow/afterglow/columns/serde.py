"""Columns as numpy arrays and a JSON header: the stored form of columns in a segment.

All columns share eight arrays, one column after the other, so that ten thousand keys are not ten thousand arrays::

    rows u32 · codes u32 · ints i64 · floats f64 · bools u8 · offsets u64 · string offsets u64 · string data u8

The components of sparse vectors are among the codes: the indices of a column, then the bits of its float32 values. The
header lists each column in that order: key, type, entries, whether it has every row, items, strings, bytes of strings.
File layout, alignment and checksums are up to the segment; here only the sizes are compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.columns.concat import take
from afterglow.columns.dictionary import SortedDictionary
from afterglow.errors import Corrupt

VERSION = 1

ROWS, CODES, INTS, FLOATS, BOOLS, OFFSETS, STRING_OFFSETS, STRING_DATA = range(8)
DTYPES = tuple(np.dtype(name) for name in ("<u4", "<u4", "<i8", "<f8", "u1", "<u8", "<u8", "u1"))
BUFFER_OF_TYPE = {
    ColumnType.STR: CODES,
    ColumnType.INT: INTS,
    ColumnType.FLOAT: FLOATS,
    ColumnType.BOOL: BOOLS,
    ColumnType.SPARSE: CODES,
}


class _ColumnHeader(NamedTuple):
    """One column, as the header describes it."""

    key: str
    type: str
    entries: int
    has_every_row: bool
    items: int
    strings: int
    string_bytes: int


def to_buffers(columns: ColumnSet) -> tuple[dict[str, Any], list[list[NDArray[Any]]]]:
    """The header (JSON values only) and the buffers, which `from_buffers` turns back into equal columns.

    Each buffer is a list of arrays to be concatenated, none of which is copied.
    """
    if not all(_is_immutable(column) for columns_of_key in columns.columns.values() for column in columns_of_key):
        columns = take(columns, np.arange(columns.rows))
    buffers: list[list[NDArray[Any]]] = [[] for _ in DTYPES]
    headers: list[_ColumnHeader] = []
    for key, columns_of_key in columns.columns.items():
        for column in columns_of_key:
            strings = string_bytes = 0
            if column.row_ids is not None:
                buffers[ROWS].append(column.row_ids)
            if column.offsets is not None:
                buffers[OFFSETS].append(column.offsets)
            if isinstance(column.dictionary, SortedDictionary):
                strings, string_bytes = len(column.dictionary), len(column.dictionary.data)
                buffers[STRING_OFFSETS].append(column.dictionary.offsets)
                buffers[STRING_DATA].append(column.dictionary.data)
            if column.indices is not None:
                buffers[CODES].append(column.indices)
            buffers[BUFFER_OF_TYPE[column.type.item_type]].append(column.values)
            headers.append(
                _ColumnHeader(
                    key=key,
                    type=column.type.value,
                    entries=column.count,
                    has_every_row=column.row_ids is None,
                    items=len(column.values),
                    strings=strings,
                    string_bytes=string_bytes,
                )
            )
    typed = [[array.view(dtype) for array in buffer] for buffer, dtype in zip(buffers, DTYPES, strict=True)]
    return {"version": VERSION, "rows": columns.rows, "columns": [list(header) for header in headers]}, typed


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """Where a column is stored: items `starts[i]` … `stops[i]` − 1 of the array number `buffers[i]`."""

    type: ColumnType
    has_every_row: bool
    buffers: tuple[int, ...]
    starts: tuple[int, ...]
    stops: tuple[int, ...]

    def part(self, buffer: int) -> tuple[int, int] | None:
        """Where its items of one array start and stop, None if it has none there; the first ones of several."""
        if buffer not in self.buffers:
            return None
        number = self.buffers.index(buffer)
        return self.starts[number], self.stops[number]

    def read(self, arrays: Mapping[int, NDArray[Any]], known: NDArray[Any] | None = None) -> Column:
        """The column, as views of the arrays by number, of which nothing else is read; its values may be `known`."""
        spans = zip(self.buffers, self.starts, self.stops, strict=True)
        parts = iter([arrays[buffer][start:stop] for buffer, start, stop in spans])
        indices = next(parts) if self.type is ColumnType.SPARSE else None
        stored = next(parts)
        values = stored.view(self.type.dtype) if known is None else known
        is_string = self.type.item_type is ColumnType.STR
        return Column(
            type=self.type,
            values=values,
            dictionary=SortedDictionary(next(parts), next(parts)) if is_string else None,
            row_ids=None if self.has_every_row else next(parts),
            offsets=next(parts) if self.type.is_variable_length else None,
            indices=indices,
        )


def locate(header: dict[str, Any], sizes: Sequence[int]) -> dict[str, tuple[StoredColumn, ...]]:
    """Where the columns of each key are, in arrays of these sizes. Raises Corrupt where the header does not match."""
    if header.get("version") != VERSION:
        raise Corrupt(f"columns have format version {header.get('version')}; this release reads version {VERSION}")
    if len(sizes) != len(DTYPES):
        raise Corrupt("columns have other arrays than their header lists")
    positions = [0] * len(DTYPES)
    columns: dict[str, tuple[StoredColumn, ...]] = {}
    for fields in header["columns"]:
        column = _ColumnHeader(*fields)
        spans = []
        for buffer, length in _lengths(column):
            spans.append((buffer, positions[buffer], positions[buffer] + length))
            positions[buffer] += length
        buffers, starts, stops = zip(*spans, strict=True)
        stored = StoredColumn(ColumnType(column.type), column.has_every_row, buffers, starts, stops)
        columns[column.key] = (*columns.get(column.key, ()), stored)
    if any(position > size for position, size in zip(positions, sizes, strict=True)):
        raise Corrupt("columns are shorter than their header specifies")
    if positions != list(sizes):
        raise Corrupt("columns are longer than their header specifies")
    return columns


def from_buffers(header: dict[str, Any], arrays: Sequence[NDArray[Any]]) -> ColumnSet:
    """The columns of a header and its arrays, as views of them. Raises Corrupt where the two do not match."""
    if [array.dtype for array in arrays] != list(DTYPES):
        raise Corrupt("columns have other arrays than their header lists")
    located = locate(header, [len(array) for array in arrays])
    by_number = dict(enumerate(arrays))
    columns = {key: tuple(column.read(by_number) for column in stored) for key, stored in located.items()}
    return ColumnSet(header["rows"], columns)


def _lengths(header: _ColumnHeader) -> Iterator[tuple[int, int]]:
    """The buffers that hold the parts of a column, and how many items of each, in the order of `StoredColumn.read`."""
    column_type = ColumnType(header.type)
    if column_type is ColumnType.SPARSE:
        yield CODES, header.items
    yield BUFFER_OF_TYPE[column_type.item_type], header.items
    if column_type.item_type is ColumnType.STR:
        yield STRING_DATA, header.string_bytes
        yield STRING_OFFSETS, header.strings + 1
    if not header.has_every_row:
        yield ROWS, header.entries
    if column_type.is_variable_length:
        yield OFFSETS, header.entries + 1


def _is_immutable(column: Column) -> bool:
    return column.dictionary is None or isinstance(column.dictionary, SortedDictionary)
