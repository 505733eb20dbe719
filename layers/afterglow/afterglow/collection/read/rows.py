"""Rows of a snapshot: from a selection to row masks, from masks to ordered row locations, from locations to records.

A row is addressed by the index of its row group in the snapshot and its row number there. Masks are lists with one
bool_ array per row group; None stands for all rows of the group.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from afterglow.collection.replica import ttl_filter
from afterglow.collection.replica.replica import Snapshot
from afterglow.collection.types import Include, Records, Selection
from afterglow.columns.string_column import StringColumn
from afterglow.filters.evaluate import evaluate
from afterglow.segment.reader import Mask
from afterglow.segment.row_group import RowGroup


def selection_masks(snapshot: Snapshot, selection: Selection, ids: Sequence[str] = ()) -> list[Mask | None]:
    """The live, unexpired rows of each row group that satisfy the selection; None where every row does.

    A selection by ids needs a snapshot that was taken with these ids. Filters that name ids need a snapshot that was
    taken with `ids`: all ids in the filters, without repetition.
    """
    masks: list[Mask | None] = []
    expiry = snapshot.expiry
    for index, group in enumerate(snapshot.row_groups):
        excluded = ttl_filter.excluded_rows(group, expiry)
        mask = None if excluded is None else ~excluded
        if selection.ids is not None and snapshot.locations is not None:
            has_id = np.zeros(group.rows.rows, dtype=np.bool_)
            has_id[snapshot.locations.rows[snapshot.locations.groups == index]] = True
            mask = has_id if mask is None else mask & has_id
        for condition in (selection.where, selection.where_document):
            if condition is not None and (mask is None or mask.any()):
                row_of_id = _row_of_id(snapshot, index, ids)
                mask = evaluate(condition, group.rows.columns, group.rows.documents, mask, row_of_id)
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
    rows = [
        np.arange(group.rows.rows) if mask is None else np.flatnonzero(mask)
        for group, mask in zip(snapshot.row_groups, masks, strict=True)
    ]
    if not rows:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    row_seqs = np.concatenate(
        [group.rows.row_seqs[group_rows] for group, group_rows in zip(snapshot.row_groups, rows, strict=True)]
    )
    groups = np.repeat(np.arange(len(rows)), [len(group_rows) for group_rows in rows])
    end = len(row_seqs) if limit is None else min(offset + limit, len(row_seqs))
    if end < len(row_seqs):
        first = np.argpartition(row_seqs, end)[:end]
        order = first[np.argsort(row_seqs[first])][offset:]
    else:
        order = np.argsort(row_seqs)[offset:end]
    return groups[order], np.concatenate(rows)[order]


def materialize(
    snapshot: Snapshot, groups: NDArray[np.int64], rows: NDArray[np.int64], include: frozenset[Include]
) -> Records:
    """The records at these row group indexes and rows, in that order, with the fields of `include`."""

    def utf8(column: Callable[[RowGroup], StringColumn]) -> list[bytes | None]:
        return _strings(snapshot, groups, rows, column)

    def decoded(column: Callable[[RowGroup], StringColumn]) -> list[str | None]:
        return [None if value is None else value.decode() for value in utf8(column)]

    return Records(
        ids=[(value or b"").decode() for value in utf8(lambda group: group.ids)],
        embeddings=_vectors(snapshot, groups, rows) if Include.EMBEDDINGS in include else None,
        documents=decoded(lambda group: group.documents) if Include.DOCUMENTS in include else None,
        metadatas=utf8(lambda group: group.metadatas) if Include.METADATAS in include else None,
        uris=decoded(lambda group: group.uris) if Include.URIS in include else None,
        position=snapshot.applied_seq,
    )


def _strings(
    snapshot: Snapshot,
    groups: NDArray[np.int64],
    rows: NDArray[np.int64],
    column: Callable[[RowGroup], StringColumn],
) -> list[bytes | None]:
    present = _distinct(groups)
    if len(present) == 1:
        return column(snapshot.row_groups[present[0]].rows).take(rows)
    values: list[bytes | None] = [None] * len(rows)
    for index in present:
        positions = np.flatnonzero(groups == index)
        strings = column(snapshot.row_groups[index].rows).take(rows[positions])
        for position, value in zip(positions.tolist(), strings, strict=True):
            values[position] = value
    return values


def _vectors(snapshot: Snapshot, groups: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    dimension = snapshot.row_groups[0].rows.vectors.shape[1] if snapshot.row_groups else 0
    vectors = np.empty((len(rows), dimension), dtype=np.float32)
    for index in _distinct(groups):
        positions = np.flatnonzero(groups == index)
        vectors[positions] = snapshot.row_groups[index].rows.vectors[rows[positions]]
    return vectors


def _distinct(groups: NDArray[np.int64]) -> list[int]:
    """The row group indexes that occur, ascending; counting is several times faster than `np.unique`."""
    return np.flatnonzero(np.bincount(groups)).tolist()
