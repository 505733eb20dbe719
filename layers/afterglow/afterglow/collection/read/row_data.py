"""Data of some rows of a snapshot: their strings, vectors and insertion sequence numbers.

Rows of clustered segments are read by ranges, of all segments at once: one round for rows that a search has found, two
for others. Many rows of a segment, and rows of any other row group, are read from its columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.segment.distance import Vectors
from afterglow.segment.list_index import ListIndex
from afterglow.segment.lists import Places

Rows = NDArray[np.int64]

_MAX_RANGES = 1_000
"""Rows of one segment that are read by ranges; more are read from its columns."""


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

    @property
    def ranged(self) -> ListIndex | None:
        """The index by which the rows are read, None: they are read from the columns."""
        return self.group.lists if len(self.rows) <= _MAX_RANGES else None


def row_seqs(row_groups: Sequence[RowGroupView], groups: Rows, rows: Rows) -> Rows:
    """The insertion sequence number of each row."""
    parts = _parts(row_groups, groups, rows)
    result = np.empty(len(rows), dtype=np.int64)
    for part, places in zip(parts, _places(parts), strict=True):
        result[part.positions] = part.group.rows.row_seqs[part.rows] if places is None else places.row_seqs
    return result


def read_rows(
    row_groups: Sequence[RowGroupView], groups: Rows, rows: Rows, fields: Sequence[str], dimension: int | None
) -> RowData:
    """The strings of these `fields` of each row, and its vector of `dimension` components (None: not requested)."""
    parts = _parts(row_groups, groups, rows)
    places_of_parts = _places(parts)
    requests = []
    for part, places in zip(parts, places_of_parts, strict=True):
        if part.group.lists is not None and places is not None:
            requests.append(part.group.lists.record_request(places))
            if dimension is not None:
                requests.append(part.group.lists.vector_request(places))
    ranged = [part.group.lists for part in parts if part.group.lists is not None]
    answers = iter(ranged[0].objects.need(requests) if requests else ())
    strings: dict[str, list[bytes | None]] = {name: [None] * len(rows) for name in fields}
    vectors = None if dimension is None else np.empty((len(rows), dimension), dtype=np.float32)
    for part, places in zip(parts, places_of_parts, strict=True):
        if part.group.lists is not None and places is not None:
            records = part.group.lists.records(next(answers), places)
            values = [[record[FIELDS.index(name)] for record in records] for name in fields]
            own = None if vectors is None else part.group.lists.vectors(next(answers), places)
        else:
            values = [getattr(part.group.rows, name).take(part.rows) for name in fields]
            own = None if vectors is None else part.group.rows.vectors[part.rows]
        if vectors is not None and own is not None:
            vectors[part.positions] = own
        if len(parts) == 1:
            strings = dict(zip(fields, values, strict=True))
            continue
        for name, column in zip(fields, values, strict=True):
            target = strings[name]
            for position, value in zip(part.positions.tolist(), column, strict=True):
                target[position] = value
    return RowData(strings, vectors)


def _parts(row_groups: Sequence[RowGroupView], groups: Rows, rows: Rows) -> list[_Part]:
    present = np.flatnonzero(np.bincount(groups)).tolist()
    by_group = [(index, np.flatnonzero(groups == index)) for index in present]
    return [_Part(row_groups[index], positions, rows[positions]) for index, positions in by_group]


def _places(parts: Sequence[_Part]) -> list[Places | None]:
    """The places of the rows of each part, None where the columns are read."""
    result: list[Places | None] = []
    missing: list[tuple[int, ListIndex, Rows]] = []
    for number, part in enumerate(parts):
        index = part.ranged
        found = None if index is None else index.recall(part.rows)
        result.append(found)
        if index is not None and found is None:
            missing.append((number, index, part.rows))
    if missing:
        answers = missing[0][1].objects.need([index.places_request(rows) for _, index, rows in missing])
        for (number, index, rows), data in zip(missing, answers, strict=True):
            places = result[number] = index.places(data, rows)
            index.remember(places)
    return result
