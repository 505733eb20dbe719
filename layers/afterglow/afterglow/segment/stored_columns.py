"""The metadata columns of a clustered segment, each read by ranges when it is first asked for."""

from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.columns import serde
from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.columns.serde import StoredColumn
from afterglow.segment.block_file import BlockFile, Slices
from afterglow.segment.narrow_columns import NarrowColumn, NarrowColumns
from afterglow.segment.rounds import Request
from afterglow.storage.ports import Bytes, Objects

Columns = tuple[Column, ...]


class StoredColumns(Mapping[str, Columns]):
    """The columns by key. What was read stays in the store's cache, not here. Raises what `Objects.need` raises."""

    def __init__(
        self,
        objects: Objects,
        file: BlockFile,
        located: Mapping[str, tuple[StoredColumn, ...]],
        narrow: NarrowColumns | None = None,
    ) -> None:
        """`file` is the segment's file `rows`; the values of some columns are read from `narrow` instead."""
        self.objects = objects
        self._file = file
        self._located = located
        self._narrow = narrow

    def __getitem__(self, key: str) -> Columns:
        if key not in self._located:
            raise KeyError(key)
        return self._read(self.objects.need(self.requests([key])), key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._located)

    def __len__(self) -> int:
        return len(self._located)

    def __contains__(self, key: object) -> bool:
        return key in self._located

    def items(self) -> ItemsView[str, Columns]:
        """All columns, read in one round."""
        data = self.objects.need(self.requests(list(self._located)))
        return {key: self._read(data, key) for key in self._located}.items()

    def values(self) -> ValuesView[Columns]:
        """All columns, read in one round."""
        return dict(self.items()).values()

    def sparse_count(self, key: str) -> int:
        """How many rows have a sparse vector under `key`; nothing is read."""
        column = self._sparse(key)
        bounds = None if column is None else column.part(serde.OFFSETS)
        return 0 if bounds is None else bounds[1] - bounds[0] - 1

    def sparse_rows(self, key: str) -> NDArray[np.uint32] | None:
        """The rows with a sparse vector under `key`, ascending; None: all, if any."""
        column = self._sparse(key)
        rows = None if column is None else column.part(serde.ROWS)
        if rows is None:
            return None
        name = f"column{serde.ROWS}"
        (data,) = self.objects.need([self._file.request([Slices.of(name, *rows)])])
        found: NDArray[np.uint32] = self._file.array(data, name)[slice(*rows)]
        return found

    def _sparse(self, key: str) -> StoredColumn | None:
        return next((column for column in self._located.get(key, ()) if column.type is ColumnType.SPARSE), None)

    def requests(self, keys: Sequence[str]) -> list[Request]:
        """The bytes of the columns of these keys, as far as there are any: of `rows`, and of `narrow` if it is used."""
        spans: dict[int, list[tuple[int, int]]] = {}
        narrow: list[str] = []
        for key in keys:
            for column in self._located.get(key, ()):
                known = self._find_narrow(key, column)
                if known is not None:
                    narrow.append(known.array)
                parts = zip(column.buffers, column.starts, column.stops, strict=True)
                for buffer, start, stop in islice(parts, known is not None, None):
                    spans.setdefault(buffer, []).append((start, stop))
        slices = [Slices(f"column{buffer}", *np.array(some, dtype=np.int64).T) for buffer, some in spans.items()]
        requests = [self._file.request(slices)]
        if self._narrow is not None:
            requests.append(self._narrow.file.request_whole(narrow))
        return requests

    def _find_narrow(self, key: str, column: StoredColumn) -> NarrowColumn | None:
        return None if self._narrow is None else self._narrow.find(key, column.type)

    def _read(self, data: Sequence[Bytes], key: str) -> Columns:
        """The columns of a key in the answers to the requests."""
        located = self._located[key]
        buffers = {buffer for column in located for buffer in column.buffers}
        arrays = {buffer: self._file.array(data[0], f"column{buffer}") for buffer in buffers}
        return tuple(column.read(arrays, self._known(data, key, column)) for column in located)

    def _known(self, data: Sequence[Bytes], key: str, column: StoredColumn) -> NDArray[Any] | None:
        """The values of a column that is narrow."""
        found = self._find_narrow(key, column)
        if found is None or self._narrow is None:
            return None
        return self._narrow.values(self._narrow.file.array(data[1], found.array), found, column.type.dtype)


def read_together(column_sets: Sequence[ColumnSet], keys: Sequence[str]) -> None:
    """Bring in the columns of these keys of all stored column sets, in one round."""
    stored = [columns.columns for columns in column_sets if isinstance(columns.columns, StoredColumns)]
    if stored and keys:
        stored[0].objects.need([request for columns in stored for request in columns.requests(keys)])
