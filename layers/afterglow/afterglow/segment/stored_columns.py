"""The metadata columns of a clustered segment, each read by ranges when it is first asked for."""

from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView

import numpy as np
from numpy.typing import NDArray

from afterglow.columns import serde
from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.columns.serde import StoredColumn
from afterglow.segment.block_file import BlockFile, Slices
from afterglow.segment.rounds import Request
from afterglow.storage.ports import Bytes, Objects

Columns = tuple[Column, ...]


class StoredColumns(Mapping[str, Columns]):
    """The columns by key. What was read stays in the store's cache, not here. Raises what `Objects.need` raises."""

    def __init__(self, objects: Objects, file: BlockFile, located: Mapping[str, tuple[StoredColumn, ...]]) -> None:
        """`file` is the segment's file `rows`."""
        self.objects = objects
        self._file = file
        self._located = located

    def __getitem__(self, key: str) -> Columns:
        located = self._located[key]
        (data,) = self.objects.need([self.request([key])])
        return self._read(data, located)

    def __iter__(self) -> Iterator[str]:
        return iter(self._located)

    def __len__(self) -> int:
        return len(self._located)

    def __contains__(self, key: object) -> bool:
        return key in self._located

    def items(self) -> ItemsView[str, Columns]:
        """All columns, read in one round."""
        (data,) = self.objects.need([self.request(list(self._located))])
        return {key: self._read(data, located) for key, located in self._located.items()}.items()

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

    def request(self, keys: Sequence[str]) -> Request:
        """The bytes of the columns of these keys, as far as there are any."""
        spans: dict[int, list[tuple[int, int]]] = {}
        for column in (column for key in keys for column in self._located.get(key, ())):
            for buffer, start, stop in zip(column.buffers, column.starts, column.stops, strict=True):
                spans.setdefault(buffer, []).append((start, stop))
        return self._file.request(
            [Slices(f"column{buffer}", *np.array(some, dtype=np.int64).T) for buffer, some in spans.items()]
        )

    def _read(self, data: Bytes, located: Sequence[StoredColumn]) -> Columns:
        arrays = [self._file.array(data, f"column{buffer}") for buffer in range(len(serde.DTYPES))]
        return tuple(column.read(arrays) for column in located)


def read_together(column_sets: Sequence[ColumnSet], keys: Sequence[str]) -> None:
    """Bring in the columns of these keys of all stored column sets, in one round."""
    stored = [columns.columns for columns in column_sets if isinstance(columns.columns, StoredColumns)]
    if stored and keys:
        stored[0].objects.need([columns.request(keys) for columns in stored])
