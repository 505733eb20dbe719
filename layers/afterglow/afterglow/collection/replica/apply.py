"""The meaning of add, update, upsert and delete: apply a batch of the log to a replica's state.

=========  ==================================  =====================================================================
operation  the record exists                   the record does not exist
=========  ==================================  =====================================================================
add        ignored                             inserted at the end of the insertion order
update     merged, keeps its position          ignored
upsert     merged, keeps its position          inserted at the end
delete     deleted                             ignored
=========  ==================================  =====================================================================

A record does not exist if it has expired by the log time of the batch's entry (`collection.replica.ttl_filter`). An
insert with the id of an expired record deletes that record.

A merge replaces the fields that the batch has (embedding, document, uri) and merges metadata key by key; null deletes
the key. The records of a batch are applied in order; an add uses the first of several records with one id.

Applying is a function of the log alone: every replica that has applied entry n holds the same records in the same
order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.collection.replica import row_data, ttl_filter
from afterglow.collection.replica.memtable import NewRows
from afterglow.collection.replica.replica_state import ReplicaState, RowLocations
from afterglow.collection.replica.ttl_filter import TtlCutoff
from afterglow.log.batch import Batch, Op
from afterglow.segment.distance import Vectors

Rows = NDArray[np.int64]
T = TypeVar("T")

_MIN_AHEAD = 2


def apply(state: ReplicaState, batch: Batch, expiry: TtlCutoff | None = None) -> None:
    """Apply one batch; `expiry` is the TTL key and the log time of its entry, None where records do not expire."""
    for members in _split_on_repeated_ids(batch):
        ids = [batch.ids[member] for member in members.tolist()]
        locations = state.locate(ids)
        exist = locations.found
        if batch.op is Op.DELETE:
            _delete(state, ids, locations, exist)
            continue
        if expiry is not None and exist.any():
            expired = ttl_filter.expired_locations(state, locations, expiry)
            if batch.op is not Op.UPDATE:
                _delete(state, ids, locations, expired)
            exist &= ~expired
        if batch.op in (Op.UPDATE, Op.UPSERT) and exist.any():
            _replace(state, batch, members[exist], locations.take(exist))
        if batch.op in (Op.ADD, Op.UPSERT) and not exist.all():
            _insert(state, batch, members[~exist])


def look_ahead(state: ReplicaState, batches: Sequence[Batch]) -> None:
    """Read what applying these batches will need of remote segments, in a few rounds rather than a few for each."""
    reads_ranges = any(segment.root is not None and segment.objects.evicts for segment in state.segments)
    if len(batches) < _MIN_AHEAD or not reads_ranges:
        state.look_ahead([])
        return
    state.look_ahead(list(dict.fromkeys(name for batch in batches for name in batch.ids)))
    replaced = dict.fromkeys(name for batch in batches if batch.op in (Op.UPDATE, Op.UPSERT) for name in batch.ids)
    locations = state.locate(list(replaced))
    if locations.found.any():
        read_contents(state, locations.take(locations.found))


def _split_on_repeated_ids(batch: Batch) -> Iterator[Rows]:
    """The batch's records in runs without a repeated id; an add skips the repetitions."""
    everything = np.arange(len(batch.ids))
    if len(set(batch.ids)) == len(batch.ids):
        yield everything
        return
    seen: set[str] = set()
    if batch.op is Op.ADD:
        yield np.array([at for at, name in enumerate(batch.ids) if not (name in seen or seen.add(name))])  # type: ignore[func-returns-value]
        return
    start = 0
    for at, name in enumerate(batch.ids):
        if name in seen:
            yield everything[start:at]
            start, seen = at, set()
        seen.add(name)
    yield everything[start:]


def _delete(state: ReplicaState, ids: Sequence[str], locations: RowLocations, subset: NDArray[np.bool_]) -> None:
    indices = np.flatnonzero(subset)
    if len(indices):
        state.delete([ids[index] for index in indices.tolist()], locations.take(indices))


def _insert(state: ReplicaState, batch: Batch, members: Rows) -> None:
    if batch.vectors is None:
        raise AssertionError("an add or upsert without embeddings passed validation")
    state.memtable.append(
        NewRows(
            ids=[batch.ids[member] for member in members.tolist()],
            row_seqs=np.arange(state.next_row_seq, state.next_row_seq + len(members)),
            vectors=batch.vectors if len(members) == len(batch.vectors) else batch.vectors[members],
            documents=_encode(_subset(batch.documents, members)),
            uris=_encode(_subset(batch.uris, members)),
            metadatas=[_without_nulls(metadata) for metadata in _subset(batch.metadatas, members)],
        )
    )
    state.next_row_seq += len(members)
    state.records += len(members)


def _replace(state: ReplicaState, batch: Batch, members: Rows, locations: RowLocations) -> None:
    """Write a new row for each of these records: its current content, overlaid with the fields of the batch."""
    ids = [batch.ids[member] for member in members.tolist()]
    old = read_contents(state, locations)
    vectors = old.vectors
    if batch.vectors is not None and batch.dimension is not None:
        vector_of = np.full(len(batch.ids), -1)
        vector_of[np.arange(len(batch.ids)) if batch.vector_rows is None else batch.vector_rows] = np.arange(
            len(batch.vectors)
        )
        new_vectors = vector_of[members]
        vectors[new_vectors >= 0] = batch.vectors[new_vectors[new_vectors >= 0]]
    documents = _overlay(old.documents, _encode(_subset(batch.documents, members)))
    uris = _overlay(old.uris, _encode(_subset(batch.uris, members)))
    changes = _subset(batch.metadatas, members)
    metadatas = [
        merge_metadata(None if old_value is None else orjson.loads(old_value), change)
        for old_value, change in zip(old.metadatas, changes, strict=True)
    ]
    state.delete(ids, locations)
    state.memtable.append(NewRows(ids, old.row_seqs, vectors, documents, uris, metadatas))
    state.records += len(ids)


@dataclass(frozen=True, slots=True)
class RecordContents:
    """The current content of n records, in their order; `vectors` is float32 (n, d), a copy."""

    row_seqs: Rows
    vectors: Vectors
    documents: list[bytes | None]
    uris: list[bytes | None]
    metadatas: list[bytes | None]


def read_contents(state: ReplicaState, locations: RowLocations) -> RecordContents:
    """The current content of these records: at least one, and all exist."""
    groups, rows = locations.groups, locations.rows
    views = [state.view(index) for index in range(len(state.segments) + 1)]
    dimension = state.manifest.dimension
    if dimension is None:
        dimension = int(views[-1].rows.vectors.shape[1])
    row_seqs = row_data.row_seqs(views, groups, rows)
    data = row_data.plan_rows(views, groups, rows, ("documents", "uris", "metadatas"), dimension).read()
    if data.vectors is None:
        raise AssertionError("the vectors were requested")
    return RecordContents(row_seqs, data.vectors, *data.strings.values())


def _subset(values: Sequence[T | None] | None, members: Rows) -> list[T | None]:
    if values is None:
        return [None] * len(members)
    return list(values) if len(members) == len(values) else [values[member] for member in members.tolist()]


def _encode(strings: Sequence[str | None]) -> list[bytes | None]:
    return [None if string is None else string.encode() for string in strings]


def _overlay(old: list[bytes | None], new: list[bytes | None]) -> list[bytes | None]:
    return [before if after is None else after for before, after in zip(old, new, strict=True)]


def merge_metadata(before: Mapping[str, Any] | None, change: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The metadata of a record after a change of it; None for none."""
    return before if not change else _without_nulls({**(before or {}), **change})


def _without_nulls(metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if not metadata:
        return None
    if None not in metadata.values() and [] not in metadata.values():
        return metadata
    return {key: value for key, value in metadata.items() if value is not None and value != []} or None
