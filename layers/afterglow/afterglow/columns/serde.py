"""Columns as numpy arrays and a JSON header: what a segment writes and maps back.

The lanes lie one behind the other in eight arrays, so that a part of ten thousand keys is not ten thousand arrays::

    rows u32 · codes u32 · ints i64 · floats f64 · bools u8 · offsets u64 · text offsets u64 · text u8

The components of sparse vectors stand among the codes: the indices of a lane, then the bits of its float32 values. The
header names each lane in that order: key, kind, entries, whether it has every row, items, strings, bytes of text.
Framing, alignment and checksums are the segment's business; here only the sizes are compared.
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

ROWS, CODES, INTS, FLOATS, BOOLS, OFFSETS, TEXT_OFFSETS, TEXT = range(8)
DTYPES = tuple(np.dtype(name) for name in ("<u4", "<u4", "<i8", "<f8", "u1", "<u8", "<u8", "u1"))
ARRAY_OF = {
    ColumnType.STR: CODES,
    ColumnType.INT: INTS,
    ColumnType.FLOAT: FLOATS,
    ColumnType.BOOL: BOOLS,
    ColumnType.SPARSE: CODES,
}


class _ColumnHeader(NamedTuple):
    """One lane, as the header describes it."""

    key: str
    kind: str
    entries: int
    has_every_row: bool
    items: int
    strings: int
    text_bytes: int


def to_buffers(columns: ColumnSet) -> tuple[dict[str, Any], list[list[NDArray[Any]]]]:
    """The header (JSON values only) and the arrays, which `from_arrays` turns back into equal columns.

    Each array comes as the pieces that it is put together from, none of which is copied.
    """
    if not all(_is_immutable(lane) for lanes in columns.columns.values() for lane in lanes):
        columns = take(columns, np.arange(columns.rows))
    pools: list[list[NDArray[Any]]] = [[] for _ in DTYPES]
    entries: list[_ColumnHeader] = []
    for key, lanes in columns.columns.items():
        for lane in lanes:
            strings = text_bytes = 0
            if lane.row_ids is not None:
                pools[ROWS].append(lane.row_ids)
            if lane.offsets is not None:
                pools[OFFSETS].append(lane.offsets)
            if isinstance(lane.dictionary, SortedDictionary):
                strings, text_bytes = len(lane.dictionary), len(lane.dictionary.data)
                pools[TEXT_OFFSETS].append(lane.dictionary.offsets)
                pools[TEXT].append(lane.dictionary.data)
            if lane.indices is not None:
                pools[CODES].append(lane.indices)
            pools[ARRAY_OF[lane.type.item_type]].append(lane.values)
            entries.append(
                _ColumnHeader(
                    key, lane.type.value, lane.count, lane.row_ids is None, len(lane.values), strings, text_bytes
                )
            )
    typed = [[piece.view(dtype) for piece in pool] for pool, dtype in zip(pools, DTYPES, strict=True)]
    header = {"version": VERSION, "rows": columns.rows, "lanes": [list(entry) for entry in entries]}
    return header, typed


def from_buffers(header: dict[str, Any], arrays: Sequence[NDArray[Any]]) -> ColumnSet:
    """The columns of a header and its arrays, as views of them; Corrupt where the two do not fit together."""
    if header.get("version") != VERSION:
        raise Corrupt(f"columns are of format version {header.get('version')}; this program reads {VERSION}")
    if [array.dtype for array in arrays] != list(DTYPES):
        raise Corrupt("columns hold other arrays than their header says")
    pools = [_BufferReader(array) for array in arrays]
    lanes: dict[str, tuple[Column, ...]] = {}
    for fields in header["lanes"]:
        entry = _ColumnHeader(*fields)
        lanes[entry.key] = (*lanes.get(entry.key, ()), _lane(entry, pools))
    if not all(pool.is_exhausted for pool in pools):
        raise Corrupt("columns are longer than their header says")
    return ColumnSet(header["rows"], lanes)


class _BufferReader:
    """Takes slices off an array from its front."""

    __slots__ = ("_array", "_position")

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self._position = 0

    def next(self, length: int) -> NDArray[Any]:
        end = self._position + length
        if end > len(self._array):
            raise Corrupt("columns are shorter than their header says")
        piece = self._array[self._position : end]
        self._position = end
        return piece

    @property
    def is_exhausted(self) -> bool:
        return self._position == len(self._array)


def _lane(entry: _ColumnHeader, pools: Sequence[_BufferReader]) -> Column:
    kind = ColumnType(entry.kind)
    indices = pools[CODES].next(entry.items) if kind is ColumnType.SPARSE else None
    values = pools[ARRAY_OF[kind.item_type]].next(entry.items)
    vocabulary = None
    if kind.item_type is ColumnType.STR:
        vocabulary = SortedDictionary(pools[TEXT].next(entry.text_bytes), pools[TEXT_OFFSETS].next(entry.strings + 1))
    return Column(
        type=kind,
        row_ids=None if entry.has_every_row else pools[ROWS].next(entry.entries),
        values=values.view(kind.dtype),
        offsets=pools[OFFSETS].next(entry.entries + 1) if kind.is_variable_length else None,
        dictionary=vocabulary,
        indices=indices,
    )


def _is_immutable(lane: Column) -> bool:
    return lane.dictionary is None or isinstance(lane.dictionary, SortedDictionary)
