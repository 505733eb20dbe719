"""Columns that grow by appending metadata, and cheap snapshots of them.

One writer at a time (the caller sees to that); the snapshots may be read by anyone, for as long as they like.
A snapshot costs what has changed since the one before it, not what has been appended in all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from afterglow.columns.arrays import GrowableArray
from afterglow.columns.column import LIST_TYPE, Column, ColumnSet, ColumnType
from afterglow.columns.dictionary import DictionaryBuilder

SCALAR_KINDS: dict[type, ColumnType] = {
    bool: ColumnType.BOOL,
    int: ColumnType.INT,
    float: ColumnType.FLOAT,
    str: ColumnType.STR,
}
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
PENDING_LIMIT = 4096


class _ColumnBuilder:
    """A lane being written: new entries wait in lists, which numpy takes over in one go at the next snapshot."""

    __slots__ = (
        "ends",
        "indices",
        "key",
        "kind",
        "new_ends",
        "new_indices",
        "new_rows",
        "new_values",
        "rows",
        "values",
        "vocabulary",
    )

    def __init__(self, key: str, kind: ColumnType) -> None:
        self.key = key
        self.kind = kind
        self.vocabulary = DictionaryBuilder() if kind.item_type is ColumnType.STR else None
        self.rows = GrowableArray(np.uint32)
        self.values = GrowableArray(kind.dtype)
        self.ends: GrowableArray | None = None
        self.indices = GrowableArray(np.uint32) if kind is ColumnType.SPARSE else None
        self.new_rows: list[int] = []
        self.new_values: list[Any] = []
        self.new_ends: list[int] = []
        self.new_indices: list[int] = []
        if kind.is_variable_length:
            self.ends = GrowableArray(np.uint64)
            self.ends.extend((0,))

    def add_list(self, row: int, items: Sequence[Any]) -> None:
        self.new_rows.append(row)
        self.new_values.extend(items if self.vocabulary is None else map(self.vocabulary.add, items))
        self.new_ends.append(len(self.values) + len(self.new_values))

    def add_sparse(self, row: int, vector: Mapping[str, Any]) -> None:
        self.new_rows.append(row)
        self.new_indices.extend(vector["indices"])
        self.new_values.extend(vector["values"])
        self.new_ends.append(len(self.values) + len(self.new_values))

    def flush(self) -> None:
        if not self.new_rows:
            return
        self.rows.extend(self.new_rows)
        self.values.extend(self.new_values)
        if self.ends is not None:
            self.ends.extend(self.new_ends)
            self.new_ends = []
        if self.indices is not None:
            self.indices.extend(self.new_indices)
            self.new_indices = []
        self.new_rows = []
        self.new_values = []

    def snapshot(self, rows: int) -> Column:
        has_every_row = len(self.rows) == rows
        return Column(
            type=self.kind,
            row_ids=None if has_every_row else self.rows.snapshot(),
            values=self.values.snapshot(),
            offsets=None if self.ends is None else self.ends.snapshot(),
            dictionary=self.vocabulary,
            indices=None if self.indices is None else self.indices.snapshot(),
        )


class ColumnSetBuilder:
    """The columns of a part that is still being written."""

    def __init__(self) -> None:
        self._rows = 0
        self._pending = 0
        self._lanes: dict[tuple[str, Any], _ColumnBuilder] = {}
        self._of_key: dict[str, list[_ColumnBuilder]] = {}
        self._touched: dict[str, None] = {}
        self._complete: dict[str, None] = {}
        self._views: dict[str, tuple[Column, ...]] = {}
        self._snapshot = ColumnSet(0)

    def __len__(self) -> int:
        return self._rows

    def append(self, metadatas: Sequence[Mapping[str, Any] | None]) -> None:
        """Add one row per mapping: values are bool, int, float, str, lists of one of them, or sparse vectors.

        A sparse vector is a mapping with `indices`, strictly ascending uint32, and `values`, as many finite float32.
        None, as a mapping or as a value, and empty lists are no value. An int beyond int64 counts as the float nearest
        to it, as does any int in a list that also holds floats.
        """
        lanes, touched = self._lanes, self._touched
        for row, metadata in enumerate(metadatas, self._rows):
            if not metadata:
                continue
            for key, given in metadata.items():
                value = given
                kind = value.__class__
                if kind is list or kind is tuple:
                    self._append_list(row, key, value)
                    continue
                if value is None:
                    continue
                if kind is dict:
                    lane = lanes.get((key, ColumnType.SPARSE)) or self._new_lane(
                        key, ColumnType.SPARSE, ColumnType.SPARSE
                    )
                    touched[key] = None
                    lane.add_sparse(row, value)
                    continue
                if kind is int and not INT64_MIN <= value <= INT64_MAX:
                    value = float(value)
                    kind = float
                lane = lanes.get((key, kind)) or self._new_lane(key, kind, SCALAR_KINDS[kind])
                touched[key] = None
                lane.new_rows.append(row)
                lane.new_values.append(value if lane.vocabulary is None else lane.vocabulary.add(value))
        self._rows += len(metadatas)
        self._pending += len(metadatas)
        if self._pending >= PENDING_LIMIT:
            self._flush()

    def snapshot(self) -> ColumnSet:
        """All rows so far; later appends do not disturb it."""
        if self._snapshot.rows == self._rows:
            return self._snapshot
        self._flush()
        # A lane that had every row has lost that distinction where a newer row lacks the key.
        for key in self._touched | self._complete:
            lanes = tuple(lane.snapshot(self._rows) for lane in self._of_key[key])
            self._views[key] = lanes
            if any(lane.row_ids is None for lane in lanes):
                self._complete[key] = None
            else:
                self._complete.pop(key, None)
        self._touched.clear()
        self._snapshot = ColumnSet(self._rows, self._views.copy())
        return self._snapshot

    def _append_list(self, row: int, key: str, items: Sequence[Any]) -> None:
        kinds = {item.__class__ for item in items}
        if not kinds:
            return
        if kinds == {int} and not all(INT64_MIN <= item <= INT64_MAX for item in items):
            kinds = {float}
        item_kind = SCALAR_KINDS[kinds.pop()] if len(kinds) == 1 else ColumnType.FLOAT
        kind = LIST_TYPE[item_kind]
        lane = self._lanes.get((key, kind)) or self._new_lane(key, kind, kind)
        self._touched[key] = None
        lane.add_list(row, items)

    def _new_lane(self, key: str, index: Any, kind: ColumnType) -> _ColumnBuilder:
        lane = self._lanes[key, index] = _ColumnBuilder(key, kind)
        self._of_key.setdefault(key, []).append(lane)
        return lane

    def _flush(self) -> None:
        for key in self._touched:
            for lane in self._of_key[key]:
                lane.flush()
        self._pending = 0
