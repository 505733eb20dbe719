"""Rows of a snapshot: from a selection to row masks, from masks to ordered row locations, from locations to records.

Records are read in two steps: `plan` locates their fields and so knows their size, `RecordPlan.read` copies them.

A row is addressed by the index of its row group in the snapshot and its row number there. Masks are lists with one
bool_ array per row group; None stands for all rows of the group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.read import insertion_pages
from afterglow.collection.replica import row_data, ttl_filter
from afterglow.collection.replica.row_data import RowPlan
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Include, Records, Selection
from afterglow.columns.string_column import StringColumn
from afterglow.errors import ResponseTooLarge
from afterglow.filters import ast
from afterglow.filters.evaluate import evaluate
from afterglow.segment import list_index
from afterglow.segment.reader import Mask
from afterglow.segment.stored_columns import read_together

RECORD_BYTES = 160
"""A record with its id, but without the id's own bytes: its objects and numbers in memory, its punctuation in JSON."""
FIELD_BYTES = 96
"""A string of a record without its own bytes."""
STRING_COPIES = 2
"""A string is in memory as itself and in the response."""
COMPONENT_BYTES = 16
"""A component of an embedding as a float, and as a number in JSON."""
_NO_DOCUMENTS = StringColumn.from_list([])
_FIELD_OF_INCLUDE = {Include.DOCUMENTS: "documents", Include.METADATAS: "metadatas", Include.URIS: "uris"}


def read_roots(
    snapshot: Snapshot, conditions: Sequence[ast.Filter], *, search: bool = False, sparse: bool = False
) -> None:
    """Read what leads to the columns that filters read, and to the lists and postings of a search, in one round."""
    reads_columns = bool(conditions) or sparse or snapshot.expiry is not None
    list_index.read_roots([group.lists for group in snapshot.row_groups], search=search, rows=reads_columns)


def selection_masks(snapshot: Snapshot, selection: Selection, ids: Sequence[str] = ()) -> list[Mask | None]:
    """The live, unexpired rows of each row group that satisfy the selection; None where every row does.

    A selection by ids needs a snapshot that was taken with these ids. Filters that name ids need a snapshot that was
    taken with `ids`: all ids in the filters, without repetition.
    """
    masks: list[Mask | None] = []
    expiry = snapshot.expiry
    conditions = [condition for condition in (selection.where, selection.where_document) if condition is not None]
    read_roots(snapshot, conditions)
    keys = {key for condition in conditions for key, _ in ast.operands(condition)}
    if keys:
        read_together([group.rows.columns for group in snapshot.row_groups], sorted(keys))
    for index, group in enumerate(snapshot.row_groups):
        excluded = ttl_filter.excluded_rows(group, expiry)
        mask = None if excluded is None else ~excluded
        if selection.ids is not None and snapshot.locations is not None:
            has_id = np.zeros(group.rows.rows, dtype=np.bool_)
            has_id[snapshot.locations.rows[snapshot.locations.groups == index]] = True
            mask = has_id if mask is None else mask & has_id
        for condition in conditions:
            if mask is None or mask.any():
                row_of_id = _row_of_id(snapshot, index, ids)
                # The documents of a clustered segment are opened only for a condition that reads them.
                documents = group.rows.documents if ast.reads_documents(condition) else _NO_DOCUMENTS
                mask = evaluate(condition, group.rows.columns, documents, mask, row_of_id)
        masks.append(mask)
    return masks


def _row_of_id(snapshot: Snapshot, index: int, ids: Sequence[str]) -> dict[str, int]:
    """The row of each of the ids whose record is in this row group."""
    if snapshot.locations is None or not ids:
        return {}
    in_group = np.flatnonzero(snapshot.locations.groups == index).tolist()
    rows = snapshot.locations.rows[in_group].tolist()
    return {ids[number]: row for number, row in zip(in_group, rows, strict=True)}


def in_insertion_order(
    snapshot: Snapshot, masks: list[Mask | None], offset: int = 0, limit: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row group index and row, int64 (n,) each, of rows in the masks, by insertion order: `limit` after `offset`."""
    return insertion_pages.page(snapshot.row_groups, masks, offset, limit)


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """Records of a snapshot, located but not read; `byte_size` estimates the memory of them and of their response."""

    data: RowPlan
    position: int
    byte_size: int

    def read(self) -> Records:
        """The records, in order, with the requested fields."""
        data = self.data.read()

        def decoded(name: str) -> list[str | None] | None:
            """In place: no string is in memory twice."""
            values: list[Any] | None = data.strings.get(name)
            for index, value in enumerate(values or ()):
                if value is not None:
                    values[index] = value.decode()  # type: ignore[index]
            return values

        return Records(
            ids=cast(list[str], decoded("ids")),
            embeddings=data.vectors,
            documents=decoded("documents"),
            metadatas=data.strings.get("metadatas"),
            uris=decoded("uris"),
            position=self.position,
        )


def plan(
    snapshot: Snapshot,
    groups: NDArray[np.int64],
    rows: NDArray[np.int64],
    include: frozenset[Include],
    max_bytes: int = 0,
) -> RecordPlan:
    """Locate the records at these row group indexes and rows.

    Raises ResponseTooLarge if they exceed `max_bytes` (0: no limit).
    """
    fields = ["ids", *(name for member, name in _FIELD_OF_INCLUDE.items() if member in include)]
    fixed_bytes, dimension = len(rows) * (RECORD_BYTES + (len(fields) - 1) * FIELD_BYTES), None
    if Include.EMBEDDINGS in include:
        dimension = snapshot.manifest.dimension
        if dimension is None:
            dimension = snapshot.row_groups[-1].rows.vectors.shape[1] if snapshot.row_groups else 0
        fixed_bytes += len(rows) * dimension * COMPONENT_BYTES
    check_size(fixed_bytes, max_bytes)
    data = row_data.plan_rows(snapshot.row_groups, groups, rows, fields, dimension)
    byte_size = fixed_bytes + STRING_COPIES * data.byte_size
    check_size(byte_size, max_bytes)
    return RecordPlan(data, snapshot.applied_seq, byte_size)


def check_size(byte_size: int, max_bytes: int) -> None:
    """Raises ResponseTooLarge if records of an estimated size exceed `max_bytes` (0: no limit)."""
    if 0 < max_bytes < byte_size:
        raise ResponseTooLarge(
            f"Payload too large: the records take about {byte_size} bytes of memory, one request at most {max_bytes} "
            "(AFTERGLOW_MAX_RESULT_BYTES); request fewer records at a time (limit and offset, n_results, or fewer "
            "vectors), or leave embeddings or documents out of include"
        )


def materialize(
    snapshot: Snapshot, groups: NDArray[np.int64], rows: NDArray[np.int64], include: frozenset[Include]
) -> Records:
    """The records at these row group indexes and rows, in that order, with the fields of `include`."""
    return plan(snapshot, groups, rows, include).read()
