"""Writes under a restriction: only to records inside the filter, which stay inside.

1. Take a restricted snapshot with the ids of the write. A record is *visible* if it is inside the filter, *hidden* if
   it exists outside.
2. Admit the batches, in order: updates and deletes of records that are not visible are left out, so that those of
   hidden and of unknown ones are the same. An add or upsert of a hidden record is refused, and so is a write after
   which a record would not match the filter: of an add the metadata itself, of an update or upsert the merged metadata.
3. Append what is left as the very next log entry after the snapshot. If another writer was first, start again: so the
   decision holds for exactly the state that the entry is applied to.

A record may expire between 1 and 3. So a hidden record counts as existing until it is deleted, and where records expire
a write must match whether the record is there or not. *A crash before 3 leaves nothing, or an orphan object, collected
later.*
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from afterglow.collection import restriction
from afterglow.collection.read import rows as fetch
from afterglow.collection.replica.apply import merge_metadata
from afterglow.collection.replica.snapshot import Snapshot
from afterglow.collection.types import Include
from afterglow.collection.write.registration import common_dimension
from afterglow.errors import Forbidden, LimitExceeded
from afterglow.filters.ast import Filter
from afterglow.log.batch import Batch, Op

Metadata = Mapping[str, Any] | None

_MAX_STATES = 32
"""In which a record may be, as it may expire before any of the operations on it."""


class _Absent:
    """The state of a record that is not there."""


_ABSENT = _Absent()


def ids_of(batches: Sequence[Batch]) -> list[str]:
    """The ids in the batches, each once: those that the snapshot is taken with."""
    return list(dict.fromkeys(name for batch in batches for name in batch.ids))


def admit(snapshot: Snapshot, condition: Filter, batches: Sequence[Batch]) -> list[Batch]:
    """The part of the batches that may be applied to a snapshot, which was restricted and taken with `ids_of` them.

    Raises Forbidden, whose text is the same whatever exists; WrongDimension; LimitExceeded if a record that may expire
    is written too often.
    """
    common_dimension(snapshot.collection.dimension, batches)
    records = _Records.of(snapshot, batches)
    admitted = [_take(batch, records.apply(batch)) for batch in batches]
    if records.results and not restriction.matches(condition, records.results).all():
        raise _refused()
    return [batch for batch in admitted if batch.ids]


@dataclass(slots=True)
class _Records:
    """The records with the ids of a write while its operations apply; `results` is all metadata that must match.

    `states` has for each visible record the metadata that it may have, `_ABSENT` if it may be missing. A record that is
    neither there nor `hidden` is missing.
    """

    hidden: set[str]
    states: dict[str, list[Metadata | _Absent]]
    expires: bool
    results: list[Metadata] = field(default_factory=list)

    @staticmethod
    def of(snapshot: Snapshot, batches: Sequence[Batch]) -> "_Records":
        """The records in a snapshot."""
        names = ids_of(batches)
        visible, hidden = _by_visibility(snapshot, names)
        # The metadata matter to updates and upserts alone.
        changed = {name for batch in batches if batch.op in (Op.UPDATE, Op.UPSERT) for name in batch.ids}
        known = _metadata_of(snapshot, names, visible & changed)
        states: dict[str, list[Metadata | _Absent]] = {name: [known.get(name)] for name in visible}
        return _Records(hidden, states, snapshot.expiry is not None)

    def apply(self, batch: Batch) -> NDArray[np.int64]:
        """Apply a batch; the numbers of its records that may be written. Raises Forbidden, LimitExceeded."""
        changes = batch.metadatas or [None] * len(batch.ids)
        pairs = enumerate(zip(batch.ids, changes, strict=True))
        numbers = [number for number, (name, change) in pairs if self._apply(batch.op, name, change)]
        return np.array(numbers, dtype=np.int64)

    def _apply(self, op: Op, name: str, change: Metadata) -> bool:
        """Apply one operation; whether it may be written."""
        states = self.states.get(name)
        if name in self.hidden:
            if op in (Op.ADD, Op.UPSERT):
                raise _refused()
            return False
        if states is None and op in (Op.UPDATE, Op.DELETE):
            return False
        if op is Op.DELETE:
            del self.states[name]
            return True
        if states is None:
            states = [_ABSENT]
        elif self.expires and _ABSENT not in states:
            states = [*states, _ABSENT]
        alone = merge_metadata(None, change)
        if op is Op.ADD:
            self.results.append(alone)
            after = [alone if state is _ABSENT else state for state in states]
        else:
            after = [
                (alone if op is Op.UPSERT else _ABSENT) if isinstance(state, _Absent) else merge_metadata(state, change)
                for state in states
            ]
            self.results += [state for state in after if not isinstance(state, _Absent)]
        self.states[name] = _distinct(after)
        if len(self.states[name]) > _MAX_STATES:
            raise LimitExceeded("too many operations on one record that may expire: send them in several requests")
        return True


def _distinct(states: Iterable[Metadata | _Absent]) -> list[Metadata | _Absent]:
    found: list[Metadata | _Absent] = []
    for state in states:
        if state not in found:
            found.append(state)
    return found


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
