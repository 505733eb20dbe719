"""What the attached functions compute from a snapshot: the records of their output collections, as Chroma's have them.

* `record_counter`: one record with the number of records.
* `statistics`: for each value of each metadata key a record with its type and the number of times that it occurs; the
  items of lists and the dimensions of sparse vectors count as values. A record of the key `summary` has the number of
  records.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.read import rows as fetch
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Selection
from afterglow.columns.column import Column, ColumnType
from afterglow.errors import LimitExceeded
from afterglow.log.batch import Batch, Op
from afterglow.segment.reader import Mask

MAX_VALUES = 100_000
"""Distinct values of all keys together, and so the records of an output."""
SUMMARY = "summary"
_COUNTER_ID = "function_output"
_PREFIXES = {
    ColumnType.BOOL: "b",
    ColumnType.INT: "i",
    ColumnType.FLOAT: "f",
    ColumnType.STR: "s",
    ColumnType.SPARSE: "sv",
}


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """A record of an output collection, besides its id."""

    document: str | None
    metadata: dict[str, Any]


def as_batch(records: Mapping[str, OutputRecord]) -> Batch:
    """The upsert of records, by id."""
    return Batch(
        Op.UPSERT,
        list(records),
        vectors=np.zeros((len(records), 1), dtype=np.float32),
        documents=[record.document for record in records.values()],
        metadatas=[record.metadata for record in records.values()],
    )


def record_counter(snapshot: Snapshot) -> dict[str, OutputRecord]:
    """The number of records, in one record."""
    total = _count(snapshot, _masks(snapshot))
    return {_COUNTER_ID: OutputRecord(f"Processed {total} records", {"total_count": total})}


def statistics(snapshot: Snapshot) -> dict[str, OutputRecord]:
    """The number of occurrences of each metadata value. Raises LimitExceeded for more than `MAX_VALUES` values."""
    masks = _masks(snapshot)
    counts: Counter[tuple[str, ColumnType, str]] = Counter()
    for group, mask in zip(snapshot.row_groups, masks, strict=True):
        for key, columns in group.rows.columns.columns.items():
            for column in columns:
                for value, occurrences in _occurrences(column, mask):
                    counts[key, column.type.item_type, value] += occurrences
                if len(counts) > MAX_VALUES:
                    raise LimitExceeded(f"its metadata has more than {MAX_VALUES} distinct values")
    output = {}
    for (key, kind, value), occurrences in counts.items():
        record_id, record = _statistic(key, kind, value, occurrences)
        output[record_id] = record
    record_id, record = _statistic(SUMMARY, ColumnType.STR, "total_count", _count(snapshot, masks))
    return {**output, record_id: record}


FUNCTIONS = {"record_counter": record_counter, "statistics": statistics}
"""By name. `revision_history` is not computed from a snapshot, but from the log (`jobs.revision_history`)."""


def _masks(snapshot: Snapshot) -> list[Mask | None]:
    return fetch.selection_masks(snapshot, Selection())


def _count(snapshot: Snapshot, masks: list[Mask | None]) -> int:
    return sum(
        group.rows.rows if mask is None else int(np.count_nonzero(mask))
        for group, mask in zip(snapshot.row_groups, masks, strict=True)
    )


def _statistic(key: str, kind: ColumnType, value: str, occurrences: int) -> tuple[str, OutputRecord]:
    tagged = f"{_PREFIXES[kind]}:{value}"
    metadata = {"count": occurrences, "key": key, "type": kind.value, "value": value}
    return f"{key}::{tagged}", OutputRecord(f"statistics about {key} for {tagged}", metadata)


def _occurrences(column: Column, mask: Mask | None) -> Iterator[tuple[str, int]]:
    """The values of the column in the rows of the mask as text, and how often they occur."""
    items: NDArray[Any] = column.values if column.indices is None else column.indices
    if mask is not None:
        selected = mask if column.row_ids is None else mask[column.row_ids]
        if column.offsets is not None:
            offsets = column.offsets.view(np.int64)
            selected = np.repeat(selected, offsets[1:] - offsets[:-1])
        items = items[selected]
    values, occurrences = np.unique(items, return_counts=True)
    yield from zip(_texts(column, values), occurrences.tolist(), strict=True)


def _texts(column: Column, values: NDArray[Any]) -> list[str]:
    if column.dictionary is not None:
        return [value.decode() for value in column.dictionary.utf8_values(values.astype(np.int64))]
    if column.type.item_type is ColumnType.BOOL:
        return ["true" if value else "false" for value in values.tolist()]
    if column.type.item_type is ColumnType.FLOAT:
        return [_scientific(value) for value in values.tolist()]
    return [str(value) for value in values.tolist()]


def _scientific(value: float) -> str:
    """With 16 digits after the point, and an exponent without a plus or leading zeros."""
    digits, _, exponent = f"{value:.16e}".partition("e")
    return f"{digits}e{int(exponent)}"
