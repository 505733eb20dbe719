"""Columns that grow by appending metadata, and cheap snapshots of them.

One writer at a time (the caller ensures that); any number of threads may read the snapshots, for any length of time.
A snapshot costs the changes since the previous one, not all that was ever appended.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from afterglow.columns.arrays import GrowableArray
from afterglow.columns.column import LIST_TYPE, Column, ColumnSet, ColumnType
from afterglow.columns.dictionary import DictionaryBuilder

SCALAR_TYPES: dict[type, ColumnType] = {
    bool: ColumnType.BOOL,
    int: ColumnType.INT,
    float: ColumnType.FLOAT,
    str: ColumnType.STR,
}
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
PENDING_LIMIT = 4096


class _ColumnBuilder:
    """A column under construction: new entries collect in lists, which the next snapshot moves to numpy arrays."""

    __slots__ = (
        "dictionary",
        "ends",
        "indices",
        "key",
        "new_ends",
        "new_indices",
        "new_row_ids",
        "new_values",
        "row_ids",
        "type",
        "values",
    )

    def __init__(self, key: str, column_type: ColumnType) -> None:
        self.key = key
        self.type = column_type
        self.dictionary = DictionaryBuilder() if column_type.item_type is ColumnType.STR else None
        self.row_ids = GrowableArray(np.uint32)
        self.values = GrowableArray(column_type.dtype)
        self.ends: GrowableArray | None = None
        self.indices = GrowableArray(np.uint32) if column_type is ColumnType.SPARSE else None
        self.new_row_ids: list[int] = []
        self.new_values: list[Any] = []
        self.new_ends: list[int] = []
        self.new_indices: list[int] = []
        if column_type.is_variable_length:
            self.ends = GrowableArray(np.uint64)
            self.ends.extend((0,))

    def add_list(self, row: int, items: Sequence[Any]) -> None:
        self.new_row_ids.append(row)
        self.new_values.extend(items if self.dictionary is None else map(self.dictionary.add, items))
        self.new_ends.append(len(self.values) + len(self.new_values))

    def add_sparse(self, row: int, vector: Mapping[str, Any]) -> None:
        self.new_row_ids.append(row)
        self.new_indices.extend(vector["indices"])
        self.new_values.extend(vector["values"])
        self.new_ends.append(len(self.values) + len(self.new_values))

    def flush(self) -> None:
        if not self.new_row_ids:
            return
        self.row_ids.extend(self.new_row_ids)
        self.values.extend(self.new_values)
        if self.ends is not None:
            self.ends.extend(self.new_ends)
            self.new_ends = []
        if self.indices is not None:
            self.indices.extend(self.new_indices)
            self.new_indices = []
        self.new_row_ids = []
        self.new_values = []

    def snapshot(self, rows: int) -> Column:
        has_every_row = len(self.row_ids) == rows
        return Column(
            type=self.type,
            row_ids=None if has_every_row else self.row_ids.snapshot(),
            values=self.values.snapshot(),
            offsets=None if self.ends is None else self.ends.snapshot(),
            dictionary=self.dictionary,
            indices=None if self.indices is None else self.indices.snapshot(),
        )


class ColumnSetBuilder:
    """The columns of a row group that is still being written."""

    def __init__(self) -> None:
        self._rows = 0
        self._pending = 0
        self._builders: dict[tuple[str, Any], _ColumnBuilder] = {}
        self._builders_of_key: dict[str, list[_ColumnBuilder]] = {}
        self._changed_keys: dict[str, None] = {}
        self._complete_keys: dict[str, None] = {}
        self._columns: dict[str, tuple[Column, ...]] = {}
        self._snapshot = ColumnSet(0)

    def __len__(self) -> int:
        return self._rows

    def append(self, metadatas: Sequence[Mapping[str, Any] | None]) -> None:
        """Add one row per mapping: values are bool, int, float, str, lists of one of them, or sparse vectors.

        A sparse vector is a mapping with `indices`, strictly ascending uint32, and `values`, as many finite float32.
        None, as a mapping or as a value, and empty lists are no value. An int beyond int64 becomes the nearest float,
        as does any int in a list that also holds floats.
        """
        builders, changed_keys = self._builders, self._changed_keys
        for row, metadata in enumerate(metadatas, self._rows):
            if not metadata:
                continue
            for key, original in metadata.items():
                value = original
                value_class = value.__class__
                if value_class is list or value_class is tuple:
                    self._append_list(row, key, value)
                    continue
                if value is None:
                    continue
                if value_class is dict:
                    builder = builders.get((key, ColumnType.SPARSE)) or self._new_builder(
                        key, ColumnType.SPARSE, ColumnType.SPARSE
                    )
                    changed_keys[key] = None
                    builder.add_sparse(row, value)
                    continue
                if value_class is int and not INT64_MIN <= value <= INT64_MAX:
                    value = float(value)
                    value_class = float
                builder = builders.get((key, value_class)) or self._new_builder(
                    key, value_class, SCALAR_TYPES[value_class]
                )
                changed_keys[key] = None
                builder.new_row_ids.append(row)
                builder.new_values.append(value if builder.dictionary is None else builder.dictionary.add(value))
        self._rows += len(metadatas)
        self._pending += len(metadatas)
        if self._pending >= PENDING_LIMIT:
            self._flush()

    def snapshot(self) -> ColumnSet:
        """All rows so far; later appends do not change it."""
        if self._snapshot.rows == self._rows:
            return self._snapshot
        self._flush()
        # A column that was complete is no longer so when a newer row lacks its key.
        for key in self._changed_keys | self._complete_keys:
            columns = tuple(builder.snapshot(self._rows) for builder in self._builders_of_key[key])
            self._columns[key] = columns
            if any(column.row_ids is None for column in columns):
                self._complete_keys[key] = None
            else:
                self._complete_keys.pop(key, None)
        self._changed_keys.clear()
        self._snapshot = ColumnSet(self._rows, self._columns.copy())
        return self._snapshot

    def _append_list(self, row: int, key: str, items: Sequence[Any]) -> None:
        classes = {item.__class__ for item in items}
        if not classes:
            return
        if classes == {int} and not all(INT64_MIN <= item <= INT64_MAX for item in items):
            classes = {float}
        item_type = SCALAR_TYPES[classes.pop()] if len(classes) == 1 else ColumnType.FLOAT
        list_type = LIST_TYPE[item_type]
        builder = self._builders.get((key, list_type)) or self._new_builder(key, list_type, list_type)
        self._changed_keys[key] = None
        builder.add_list(row, items)

    def _new_builder(self, key: str, lookup: Any, column_type: ColumnType) -> _ColumnBuilder:
        builder = self._builders[key, lookup] = _ColumnBuilder(key, column_type)
        self._builders_of_key.setdefault(key, []).append(builder)
        return builder

    def _flush(self) -> None:
        for key in self._changed_keys:
            for builder in self._builders_of_key[key]:
                builder.flush()
        self._pending = 0
