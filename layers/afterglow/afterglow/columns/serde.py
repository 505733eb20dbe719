"""Columns as numpy arrays and a JSON header: the stored form of columns in a segment.

All columns share eight arrays, one column after the other, so that ten thousand keys are not ten thousand arrays::

    rows u32 · codes u32 · ints i64 · floats f64 · bools u8 · offsets u64 · string offsets u64 · string data u8

The components of sparse vectors are among the codes: the indices of a column, then the bits of its float32 values. The
header lists each column in that order: key, type, entries, whether it has every row, items, strings, bytes of strings.
File layout, alignment and checksums are up to the segment; here only the sizes are compared.
"""

from collections.abc import Sequence
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


def from_buffers(header: dict[str, Any], arrays: Sequence[NDArray[Any]]) -> ColumnSet:
    """The columns of a header and its arrays, as views of them. Raises Corrupt where the two do not match."""
    if header.get("version") != VERSION:
        raise Corrupt(f"columns have format version {header.get('version')}; this release reads version {VERSION}")
    if [array.dtype for array in arrays] != list(DTYPES):
        raise Corrupt("columns have other arrays than their header lists")
    readers = [_BufferReader(array) for array in arrays]
    columns: dict[str, tuple[Column, ...]] = {}
    for fields in header["columns"]:
        column_header = _ColumnHeader(*fields)
        column = _read_column(column_header, readers)
        columns[column_header.key] = (*columns.get(column_header.key, ()), column)
    if not all(reader.is_exhausted for reader in readers):
        raise Corrupt("columns are longer than their header specifies")
    return ColumnSet(header["rows"], columns)


class _BufferReader:
    """Reads consecutive slices of an array."""

    __slots__ = ("_array", "_position")

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self._position = 0

    def next(self, length: int) -> NDArray[Any]:
        end = self._position + length
        if end > len(self._array):
            raise Corrupt("columns are shorter than their header specifies")
        items = self._array[self._position : end]
        self._position = end
        return items

    @property
    def is_exhausted(self) -> bool:
        return self._position == len(self._array)


def _read_column(header: _ColumnHeader, readers: Sequence[_BufferReader]) -> Column:
    column_type = ColumnType(header.type)
    indices = readers[CODES].next(header.items) if column_type is ColumnType.SPARSE else None
    values = readers[BUFFER_OF_TYPE[column_type.item_type]].next(header.items)
    dictionary = None
    if column_type.item_type is ColumnType.STR:
        data = readers[STRING_DATA].next(header.string_bytes)
        dictionary = SortedDictionary(data, readers[STRING_OFFSETS].next(header.strings + 1))
    return Column(
        type=column_type,
        row_ids=None if header.has_every_row else readers[ROWS].next(header.entries),
        values=values.view(column_type.dtype),
        offsets=readers[OFFSETS].next(header.entries + 1) if column_type.is_variable_length else None,
        dictionary=dictionary,
        indices=indices,
    )


def _is_immutable(column: Column) -> bool:
    return column.dictionary is None or isinstance(column.dictionary, SortedDictionary)
