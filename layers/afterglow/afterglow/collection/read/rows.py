"""Rows of a snapshot: from a selection to row masks, from masks to ordered row locations, from locations to records.

Records are read in two steps: `plan` locates their fields and so knows their size, `RecordPlan.read` copies them.

A row is addressed by the index of its row group in the snapshot and its row number there. Masks are lists with one
bool_ array per row group; None stands for all rows of the group.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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

RECORD_BYTES = 64
"""A record without its fields: its objects in memory, its punctuation in JSON."""
COMPONENT_BYTES = 12
"""A component of an embedding as a number in JSON."""
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
    """Records of a snapshot, located but not read; `byte_size` estimates them in memory and in a response."""

    data: RowPlan
    position: int
    byte_size: int

    def read(self) -> Records:
        """The records, in order, with the requested fields."""
        data = self.data.read()

        def decoded(name: str) -> list[str | None] | None:
            values = data.strings.get(name)
            return None if values is None else [None if value is None else value.decode() for value in values]

        return Records(
            ids=[(value or b"").decode() for value in data.strings["ids"]],
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
    fixed_bytes, dimension = len(rows) * RECORD_BYTES, None
    if Include.EMBEDDINGS in include:
        dimension = snapshot.manifest.dimension
        if dimension is None:
            dimension = snapshot.row_groups[-1].rows.vectors.shape[1] if snapshot.row_groups else 0
        fixed_bytes += len(rows) * dimension * COMPONENT_BYTES
    check_size(fixed_bytes, max_bytes)
    fields = ["ids", *(name for member, name in _FIELD_OF_INCLUDE.items() if member in include)]
    data = row_data.plan_rows(snapshot.row_groups, groups, rows, fields, dimension)
    check_size(fixed_bytes + data.byte_size, max_bytes)
    return RecordPlan(data, snapshot.applied_seq, fixed_bytes + data.byte_size)


def check_size(byte_size: int, max_bytes: int) -> None:
    """Raises ResponseTooLarge if records of an estimated size exceed `max_bytes` (0: no limit)."""
    if 0 < max_bytes < byte_size:
        raise ResponseTooLarge(
            f"Payload too large: the records have about {byte_size} bytes, one request returns at most {max_bytes} "
            "(AFTERGLOW_MAX_RESULT_BYTES); request fewer records at a time (limit and offset, n_results, or fewer "
            "vectors), or leave embeddings or documents out of include"
        )


def materialize(
    snapshot: Snapshot, groups: NDArray[np.int64], rows: NDArray[np.int64], include: frozenset[Include]
) -> Records:
    """The records at these row group indexes and rows, in that order, with the fields of `include`."""
    return plan(snapshot, groups, rows, include).read()
