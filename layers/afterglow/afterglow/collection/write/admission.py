"""Writes under a restriction: only to records inside the filter, which stay inside.

1. Take a restricted snapshot with the ids of the write. A record is *visible* if it is inside the filter, *hidden* if
   it exists outside.
2. Admit the batch: updates and deletes of hidden records are left out, as if these did not exist. An add or upsert of a
   hidden record is refused, and so is a write after which a record would not match the filter: of an add the metadata
   itself, of an update or upsert of a visible record the merged metadata.
3. Append what is left as the very next log entry after the snapshot. If another writer was first, start again: so the
   decision holds for exactly the state that the entry is applied to.

A record may expire between 1 and 3. So a hidden record counts as existing until it is deleted, and where records expire
an upsert must match by itself, too. *A crash before 3 leaves nothing, or an orphan object, collected later.*
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.collection import restriction
from afterglow.collection.read import rows as fetch
from afterglow.collection.replica.apply import merge_metadata
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Include
from afterglow.errors import Forbidden
from afterglow.filters.ast import Filter
from afterglow.log.batch import Batch, Op

Metadata = Mapping[str, Any] | None


def admit(snapshot: Snapshot, condition: Filter, batch: Batch) -> Batch:
    """The part of a batch that may be applied to a snapshot, which was restricted and taken with the batch's ids.

    Raises Forbidden; its text is the same whatever exists.
    """
    visible, hidden = _by_visibility(snapshot, batch.ids)
    members = np.array([number for number, name in enumerate(batch.ids) if name not in hidden], dtype=np.int64)
    if batch.op is Op.DELETE:
        return _take(batch, np.array([number for number, name in enumerate(batch.ids) if name in visible], np.int64))
    if batch.op is not Op.UPDATE and len(members) < len(batch.ids):
        raise _refused()
    results = _results(snapshot, batch, members.tolist(), visible)
    if results and not restriction.matches(condition, results).all():
        raise _refused()
    return _take(batch, members)


def _by_visibility(snapshot: Snapshot, ids: list[str]) -> tuple[set[str], set[str]]:
    """The ids of visible and of hidden records."""
    assert snapshot.locations is not None, "the snapshot was taken with the ids"
    visible: set[str] = set()
    hidden: set[str] = set()
    pairs = zip(snapshot.locations.groups.tolist(), snapshot.locations.rows.tolist(), strict=True)
    for name, (group, row) in zip(ids, pairs, strict=True):
        if group >= 0:
            deleted = snapshot.row_groups[group].deleted
            (hidden if deleted is not None and deleted[row] else visible).add(name)
    return visible, hidden


def _results(snapshot: Snapshot, batch: Batch, members: list[int], visible: set[str]) -> list[Metadata]:
    """The metadata of the records after each operation, as they must match."""
    changes = batch.metadatas or [None] * len(batch.ids)
    if batch.op is Op.ADD:
        return [merge_metadata(None, changes[number]) for number in members]
    current = _metadata_of(snapshot, batch.ids, visible)
    results: list[Metadata] = []
    for number in members:
        name, change = batch.ids[number], changes[number]
        alone = merge_metadata(None, change)
        if name in current:
            current[name] = merge_metadata(current[name], change)
        elif batch.op is Op.UPSERT:
            current[name] = alone
        else:
            continue
        results.append(current[name])
        if batch.op is Op.UPSERT and snapshot.expiry is not None:
            results.append(alone)
    return results


def _metadata_of(snapshot: Snapshot, ids: list[str], names: set[str]) -> dict[str, Metadata]:
    """The metadata of these records, by id."""
    assert snapshot.locations is not None, "the snapshot was taken with the ids"
    positions = {name: number for number, name in enumerate(ids) if name in names}
    at = np.array(list(positions.values()), dtype=np.int64)
    groups, rows = snapshot.locations.groups[at], snapshot.locations.rows[at]
    encoded = fetch.materialize(snapshot, groups, rows, frozenset({Include.METADATAS})).metadatas or []
    return {
        name: None if metadata is None else orjson.loads(metadata)
        for name, metadata in zip(positions, encoded, strict=True)
    }


def _take(batch: Batch, members: NDArray[np.int64]) -> Batch:
    """Some records of a batch, in order."""
    if len(members) == len(batch.ids):
        return batch
    vectors, vector_rows = batch.vectors, batch.vector_rows
    if vectors is not None:
        owners = np.arange(len(batch.ids)) if vector_rows is None else vector_rows
        position = np.full(len(batch.ids), -1, dtype=np.int64)
        position[members] = np.arange(len(members))
        has_place = position[owners] >= 0
        vectors, vector_rows = vectors[has_place], position[owners][has_place]
    numbers = members.tolist()
    return replace(
        batch,
        ids=[batch.ids[number] for number in numbers],
        vectors=vectors,
        vector_rows=vector_rows,
        documents=None if batch.documents is None else [batch.documents[number] for number in numbers],
        metadatas=None if batch.metadatas is None else [batch.metadatas[number] for number in numbers],
        uris=None if batch.uris is None else [batch.uris[number] for number in numbers],
    )


def _refused() -> Forbidden:
    return Forbidden("Forbidden: the write does not match the filter of the key")
