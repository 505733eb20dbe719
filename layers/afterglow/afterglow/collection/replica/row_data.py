"""Data of some rows of a row group: their strings, vectors and insertion sequence numbers.

Rows of clustered segments are read by ranges, of all segments at once: in one round where a search or a lookup has
found their places, else up to two rounds find these first (`segment.row_reader`). Many rows of a segment, and rows of
any other row group, are read from its columns. `plan_rows` locates the data, and so knows its size; `RowPlan.read`
reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.columns.string_column import Bounds, StringColumn
from afterglow.segment import rounds
from afterglow.segment.distance import Vectors
from afterglow.segment.list_index import ListIndex
from afterglow.segment.places import Places

Rows = NDArray[np.int64]

_Bounds = tuple[Bounds, Bounds]

_MAX_RANGES = 8_192
_MIN_SHARE = 16
"""Up to so many rows of one segment are read by ranges if they are less than 1/16 of it; else from its columns."""
_FEW_RANGES = 1_000
"""So few rows are always read by ranges."""
_FEW_ROWS = 200

FIELDS = ("ids", "documents", "uris", "metadatas")
"""The strings of a record, in the order of `segment.records`."""


@dataclass(frozen=True, slots=True)
class RowData:
    """The strings of rows by field, in order, and their vectors, float32 (n, d), if they were requested."""

    strings: dict[str, list[bytes | None]]
    vectors: Vectors | None


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one row group, and their positions in the result."""

    group: RowGroupView
    positions: NDArray[np.int64]
    rows: Rows

    def column(self, field: str) -> StringColumn:
        """The column of one field's strings."""
        column: StringColumn = getattr(self.group.rows, field)
        return column

    @property
    def ranged(self) -> ListIndex | None:
        """The index by which the rows are read, None: they are read from the columns."""
        limit = max(_FEW_RANGES, min(_MAX_RANGES, self.group.rows.rows // _MIN_SHARE))
        return self.group.lists if len(self.rows) <= limit else None


def row_seqs(row_groups: Sequence[RowGroupView], groups: Rows, rows: Rows) -> Rows:
    """The insertion sequence number of each row."""
    parts = _parts(row_groups, groups, rows)
    result = np.empty(len(rows), dtype=np.int64)
    for part, places in zip(parts, _places(parts), strict=True):
        result[part.positions] = part.group.rows.row_seqs[part.rows] if places is None else places.row_seqs
    return result


@dataclass(frozen=True, slots=True)
class RowPlan:
    """Rows whose data is located but not read; `byte_size` is that of their strings."""

    parts: list[_Part]
    places: list[Places | None]
    bounds: list[list[_Bounds]]
    """For each part that is read from its columns, where each field's strings start and stop; else empty."""
    fields: Sequence[str]
    count: int
    dimension: int | None
    byte_size: int

    def read(self) -> RowData:
        """The strings and, if requested, the vectors of the rows, in order."""
        requests = []
        for part, places in zip(self.parts, self.places, strict=True):
            if part.group.lists is not None and places is not None:
                requests.append(part.group.lists.reader.record_request(places))
                if self.dimension is not None:
                    requests.append(part.group.lists.reader.vector_request(places))
        ranged = [part.group.lists for part in self.parts if part.group.lists is not None]
        answers = iter(ranged[0].objects.need(requests) if requests else ())
        strings: dict[str, list[bytes | None]] = {name: [None] * self.count for name in self.fields}
        vectors = None if self.dimension is None else np.empty((self.count, self.dimension), dtype=np.float32)
        for part, places, bounds in zip(self.parts, self.places, self.bounds, strict=True):
            if part.group.lists is not None and places is not None:
                records = part.group.lists.reader.records(next(answers), places)
                values = [[record[FIELDS.index(name)] for record in records] for name in self.fields]
                own = None if vectors is None else part.group.lists.reader.vectors(next(answers), places)
            else:
                values = [
                    part.column(name).read(part.rows, *limits) for name, limits in zip(self.fields, bounds, strict=True)
                ]
                own = None if vectors is None else part.group.rows.vectors[part.rows]
            if vectors is not None and own is not None:
                vectors[part.positions] = own
            if len(self.parts) == 1:
                strings = dict(zip(self.fields, values, strict=True))
                continue
            for name, column in zip(self.fields, values, strict=True):
                target = strings[name]
                for position, value in zip(part.positions.tolist(), column, strict=True):
                    target[position] = value
        return RowData(strings, vectors)


def plan_rows(
    row_groups: Sequence[RowGroupView], groups: Rows, rows: Rows, fields: Sequence[str], dimension: int | None
) -> RowPlan:
    """Locate the strings of these `fields` of each row, and its vector of `dimension` components (None: not requested).

    A record of a clustered segment counts with all of its strings, which are read together.
    """
    parts = _parts(row_groups, groups, rows)
    places_of_parts = _places(parts)
    bounds_of_parts: list[list[_Bounds]] = []
    byte_size = 0
    for part, places in zip(parts, places_of_parts, strict=True):
        bounds = [] if places is not None else [part.column(name).bounds(part.rows) for name in fields]
        byte_size += sum(_total(stops) - _total(starts) for starts, stops in bounds)
        byte_size += 0 if places is None else _total(places.record_lengths)
        bounds_of_parts.append(bounds)
    return RowPlan(parts, places_of_parts, bounds_of_parts, fields, len(rows), dimension, byte_size)


def _total(numbers: Bounds | NDArray[np.int64]) -> int:
    if isinstance(numbers, list):
        return sum(numbers)
    # For the few rows of a query, Python's sum is several times faster.
    return sum(numbers.tolist()) if len(numbers) < _FEW_ROWS else int(numbers.sum())


def _parts(row_groups: Sequence[RowGroupView], groups: Rows, rows: Rows) -> list[_Part]:
    if len(row_groups) == 1 and len(rows):
        return [_Part(row_groups[0], np.arange(len(rows)), rows)]
    present = np.flatnonzero(np.bincount(groups)).tolist()
    by_group = [(index, np.flatnonzero(groups == index)) for index in present]
    return [_Part(row_groups[index], positions, rows[positions]) for index, positions in by_group]


def _places(parts: Sequence[_Part]) -> list[Places | None]:
    """The places of the rows of each part, None where the columns are read."""
    indexes = [part.ranged for part in parts]
    ranged = [index for index in indexes if index is not None]
    if not ranged:
        return [None] * len(parts)
    readers = [index.places(part.rows) for part, index in zip(parts, indexes, strict=True) if index is not None]
    found = iter(rounds.run_together(ranged[0].objects, readers))
    return [None if index is None else next(found) for index in indexes]
