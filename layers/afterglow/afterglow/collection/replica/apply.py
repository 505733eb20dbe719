"""What add, update, upsert and delete mean: applying a batch of the log to what a replica holds.

=========  ==================================  =====================================================================
operation  the record exists                   it does not
=========  ==================================  =====================================================================
add        ignored                             inserted at the end of the insertion order
update     merged, keeps its place             ignored
upsert     merged, keeps its place             inserted at the end
delete     removed                             ignored
=========  ==================================  =====================================================================

A record that has expired by the time of the log at the batch's entry (`collection.replica.ttl_filter`) is one that does not exist;
where one is inserted in its place, it goes.

Merging replaces what the batch brings (embedding, document, uri) and merges metadata key by key, where null deletes
the key. The records of a batch are applied in order; for add the first of several with one id wins.

Applying is a function of the log alone: every replica that has applied entry n holds the same records in one order.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.collection.replica import ttl_filter
from afterglow.collection.replica.memtable import NewRows
from afterglow.collection.replica.replica_state import ReplicaState, RowLocations
from afterglow.collection.replica.ttl_filter import TtlCutoff
from afterglow.log.batch import Batch, Op
from afterglow.segment.distance import Vectors

Rows = NDArray[np.int64]
T = TypeVar("T")


def apply(memory: ReplicaState, batch: Batch, expiry: TtlCutoff | None = None) -> None:
    """Apply one batch, of which `expiry` tells when it was written and what has expired by then."""
    for members in _split_on_repeated_ids(batch):
        ids = [batch.ids[each] for each in members.tolist()]
        located = memory.locate(ids)
        exist = located.found
        if batch.op is Op.DELETE:
            _delete(memory, ids, located, exist)
            continue
        if expiry is not None and exist.any():
            gone = ttl_filter.expired_locations(memory, located, expiry)
            if batch.op is not Op.UPDATE:
                _delete(memory, ids, located, gone)
            exist &= ~gone
        if batch.op in (Op.UPDATE, Op.UPSERT) and exist.any():
            _replace(memory, batch, members[exist], located.take(exist))
        if batch.op in (Op.ADD, Op.UPSERT) and not exist.all():
            _insert(memory, batch, members[~exist])


def _split_on_repeated_ids(batch: Batch) -> Iterator[Rows]:
    """The batch's records in stretches without a repeated id; for add, repetitions are left out."""
    everything = np.arange(len(batch.ids))
    if len(set(batch.ids)) == len(batch.ids):
        yield everything
        return
    seen: set[str] = set()
    if batch.op is Op.ADD:
        yield np.array([at for at, each in enumerate(batch.ids) if not (each in seen or seen.add(each))])  # type: ignore[func-returns-value]
        return
    start = 0
    for at, each in enumerate(batch.ids):
        if each in seen:
            yield everything[start:at]
            start, seen = at, set()
        seen.add(each)
    yield everything[start:]


def _delete(memory: ReplicaState, ids: Sequence[str], located: RowLocations, exist: NDArray[np.bool_]) -> None:
    chosen = np.flatnonzero(exist)
    if len(chosen):
        memory.delete([ids[each] for each in chosen.tolist()], located.take(chosen))


def _insert(memory: ReplicaState, batch: Batch, members: Rows) -> None:
    if batch.vectors is None:
        raise AssertionError("an add or upsert without embeddings passed validation")
    memory.memtable.append(
        NewRows(
            ids=[batch.ids[each] for each in members.tolist()],
            row_seqs=np.arange(memory.next_row_seq, memory.next_row_seq + len(members)),
            vectors=batch.vectors if len(members) == len(batch.vectors) else batch.vectors[members],
            documents=_encoded(_subset(batch.documents, members)),
            uris=_encoded(_subset(batch.uris, members)),
            metadatas=[_without_nulls(each) for each in _subset(batch.metadatas, members)],
        )
    )
    memory.next_row_seq += len(members)
    memory.records += len(members)


def _replace(memory: ReplicaState, batch: Batch, members: Rows, located: RowLocations) -> None:
    """Write a new row for each of these records, with what the batch brings over what stands there."""
    ids = [batch.ids[each] for each in members.tolist()]
    old = read_contents(memory, located)
    vectors = old.vectors
    if batch.vectors is not None and batch.dimension is not None:
        vector_of = np.full(len(batch.ids), -1)
        vector_of[np.arange(len(batch.ids)) if batch.vector_rows is None else batch.vector_rows] = np.arange(
            len(batch.vectors)
        )
        brought = vector_of[members]
        vectors[brought >= 0] = batch.vectors[brought[brought >= 0]]
    documents = _overlay(old.documents, _encoded(_subset(batch.documents, members)))
    uris = _overlay(old.uris, _encoded(_subset(batch.uris, members)))
    changes = _subset(batch.metadatas, members)
    metadatas = [_merge_metadata(present, change) for present, change in zip(old.metadatas, changes, strict=True)]
    memory.delete(ids, located)
    memory.memtable.append(NewRows(ids, old.row_seqs, vectors, documents, uris, metadatas))
    memory.records += len(ids)


class RecordContents:
    """The present content of some records, in their order."""

    def __init__(self, count: int, dimension: int) -> None:
        self.row_seqs: Rows = np.empty(count, dtype=np.int64)
        self.vectors: Vectors = np.empty((count, dimension), dtype=np.float32)
        self.documents: list[bytes | None] = [None] * count
        self.uris: list[bytes | None] = [None] * count
        self.metadatas: list[bytes | None] = [None] * count


def read_contents(memory: ReplicaState, located: RowLocations) -> RecordContents:
    """What these records, at least one, which exist, hold now."""
    indexes = np.unique(located.groups).tolist()
    old = RecordContents(len(located.groups), memory.row_group(indexes[0]).vectors.shape[1])
    for index in indexes:
        part, places = memory.row_group(index), np.flatnonzero(located.groups == index)
        rows = located.rows[places]
        old.row_seqs[places] = part.row_seqs[rows]
        old.vectors[places] = part.vectors[rows]
        for target, texts in (
            (old.documents, part.documents),
            (old.uris, part.uris),
            (old.metadatas, part.metadatas),
        ):
            for place, text in zip(places.tolist(), texts.take(rows), strict=True):
                target[place] = text
    return old


def _subset(values: Sequence[T | None] | None, members: Rows) -> list[T | None]:
    if values is None:
        return [None] * len(members)
    return list(values) if len(members) == len(values) else [values[each] for each in members.tolist()]


def _encoded(texts: Sequence[str | None]) -> list[bytes | None]:
    return [None if each is None else each.encode() for each in texts]


def _overlay(old: list[bytes | None], new: list[bytes | None]) -> list[bytes | None]:
    return [before if after is None else after for before, after in zip(old, new, strict=True)]


def _merge_metadata(present: bytes | None, change: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    before: dict[str, Any] | None = None if present is None else orjson.loads(present)
    return before if not change else _without_nulls({**(before or {}), **change})


def _without_nulls(metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if not metadata:
        return None
    if None not in metadata.values() and [] not in metadata.values():
        return metadata
    return {key: value for key, value in metadata.items() if value is not None and value != []} or None
