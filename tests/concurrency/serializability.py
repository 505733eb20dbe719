"""The history of transactions and plain writes of a few records, and a checker for violations of serializability.

The position of each write in the log is the order that the system claims. Replaying the history in this order, each
transaction must have read what was there just before its own entry (so it is as if it had run alone there), and its
reads must have been those of one snapshot.

A record has an integer `value` and belongs to the group ``value % GROUPS``; a filter reads one group. Its vector is
that of ``value % PLACES``; a query reads the places nearest to another one.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson

from afterglow.collection import Engine
from afterglow.collection.types import Include, Scope, Selection
from afterglow.collection.write.read_predicates import Neighborhood, limit_of
from afterglow.collection.write.transaction import FilteredDelete, Transaction
from afterglow.errors import Busy, StaleRead, WriteConflict
from afterglow.filters.parse import parse_where
from afterglow.log.batch import Batch, Op

KEYS, GROUPS, PLACES = 12, 3, 50
State = dict[str, int]
_METADATA = frozenset({Include.METADATAS})


@dataclass(frozen=True, slots=True)
class Change:
    """One operation: on the record `key`, or a delete of all records of the group `value` where `key` is None."""

    op: Op
    key: str | None
    value: int = 0

    def apply(self, state: State) -> None:
        """Change the state."""
        if self.key is None:
            for key in members(state, self.value):
                del state[key]
        elif self.op is Op.DELETE:
            state.pop(self.key, None)
        elif self.op is Op.UPSERT or (self.op is Op.ADD) == (self.key not in state):
            state[self.key] = self.value


@dataclass(frozen=True, slots=True)
class Nearest:
    """A query for the `k` nearest to a place, `within` a distance if any, in one group or in all."""

    place: int
    k: int
    within: float | None = None
    group: int | None = None

    def distances(self, state: State) -> list[int]:
        """What it finds."""
        values = [value for value in state.values() if self.group in (None, value % GROUPS)]
        nearest = sorted((value % PLACES - self.place) ** 2 for value in values)[: self.k]
        return [distance for distance in nearest if self.within is None or distance <= self.within]


@dataclass(frozen=True, slots=True)
class Done:
    """A committed transaction, or a plain write (which has read nothing), at its position.

    `snapshot` is the position that it read at; `found` the value of each record read by id (None: absent), `groups` the
    members of each group read by filter, `nearest` the distances that each query found.
    """

    position: int
    changes: Sequence[Change]
    snapshot: int | None = None
    found: Mapping[str, int | None] = field(default_factory=dict)
    groups: Mapping[int, Sequence[str]] = field(default_factory=dict)
    nearest: Mapping[Nearest, Sequence[int]] = field(default_factory=dict)


def members(state: State, group: int) -> list[str]:
    """The records of a group, in alphabetical order."""
    return sorted(key for key, value in state.items() if value % GROUPS == group)


def violations(history: Sequence[Done], initial: State) -> list[str]:
    """What is wrong with a history; the positions start at 1 in the initial state."""
    problems: list[str] = []
    states = [dict(initial)]
    for expected, done in enumerate(sorted(history, key=lambda one: one.position), 1):
        if done.position != expected:
            return [*problems, f"position {expected} is {'used twice' if done.position < expected else 'missing'}"]
        problems += _wrong_reads(done, states[-1], "just before")
        if done.snapshot is not None:
            problems += _wrong_reads(done, states[done.snapshot], f"in its snapshot {done.snapshot}")
        state = dict(states[-1])
        for change in done.changes:
            change.apply(state)
        states.append(state)
    return problems


def _wrong_reads(done: Done, state: State, when: str) -> Iterator[str]:
    for key, value in done.found.items():
        if state.get(key) != value:
            yield f"{done.position} read {value} in {key}, {when} it was {state.get(key)}"
    for group, keys in done.groups.items():
        if members(state, group) != list(keys):
            yield f"{done.position} read {keys} in group {group}, {when} it was {members(state, group)}"
    for query, distances in done.nearest.items():
        if query.distances(state) != list(distances):
            yield f"{done.position} found {distances} by {query}, {when} it was {query.distances(state)}"


@dataclass(frozen=True, slots=True)
class Part:
    """A transaction of one collection that is not committed yet, and what it has found."""

    transaction: Transaction
    changes: Sequence[Change]
    found: Mapping[str, int | None]
    groups: Mapping[int, Sequence[str]]
    nearest: Mapping[Nearest, Sequence[int]]

    def done(self, position: int) -> Done:
        """The transaction once it is committed."""
        return Done(position, self.changes, self.transaction.position, self.found, self.groups, self.nearest)


class Client:
    """Runs random transactions and plain writes; keeps the history of what was committed."""

    def __init__(self, number: int, engine: Engine, scope: Scope, seed: int) -> None:
        self.history: list[Done] = []
        self.conflicts = 0
        self._engine, self._scope = engine, scope
        self._random = random.Random(f"{seed} {number}")
        self._value = number * 1_000_000

    def run(self, steps: int) -> "Client":
        """Run as many steps, each a transaction or a plain write."""
        for _ in range(steps):
            self.step()
        return self

    def step(self) -> None:
        """A transaction or a plain write."""
        if self._random.random() < 0.2:
            self._plain_write()
        else:
            self._transaction()

    def read_state(self) -> State:
        """All records now."""
        found = self._engine.get(self._scope, Selection(), None, 0, _METADATA)
        return dict(zip(found.ids, _values(found.metadatas), strict=True))

    def _plain_write(self) -> None:
        change = self._change(self._random.choice((Op.ADD, Op.UPDATE, Op.UPSERT)))
        position = self._engine.write(self._scope, _batch(change))
        assert position is not None
        self.history.append(Done(position, [change]))

    def _transaction(self) -> None:
        part = self.prepare()
        if part is None:
            return
        try:
            result = self._engine.commit(self._scope, part.transaction)
        except (WriteConflict, StaleRead, Busy):
            self.conflicts += 1
            return
        if result.position is not None:
            self.history.append(part.done(result.position))

    def prepare(self) -> "Part | None":
        """Read some records and groups, draw writes to others: they depend on nothing, the check is in reading.

        None if a read is stale.
        """
        found: dict[str, int | None] = {}
        groups: dict[int, list[str]] = {}
        nearest: dict[Nearest, list[int]] = {}
        neighborhoods: list[Neighborhood] = []
        snapshot: int | None = None
        for _ in range(self._random.randint(1, 3)):
            if self._random.random() < 0.3:
                try:
                    snapshot = self._find(snapshot, nearest, neighborhoods)
                except StaleRead:
                    self.conflicts += 1
                    return None
                continue
            by_filter = self._random.random() < 0.4
            group = self._random.randrange(GROUPS)
            keys = [f"k{number}" for number in self._random.sample(range(KEYS), 2)]
            selection = Selection(where=parse_where({"group": group})) if by_filter else Selection(keys)
            try:
                read = self._engine.get_in_transaction(self._scope, selection, None, 0, _METADATA, position=snapshot)
            except StaleRead:
                self.conflicts += 1
                return None
            assert snapshot in (None, read.position)
            snapshot = read.position
            if by_filter:
                groups[group] = sorted(read.ids)
            else:
                values = dict(zip(read.ids, _values(read.metadatas), strict=True))
                found |= {key: values.get(key) for key in keys}
        changes = self._changes()
        operations = [_operation(change) for change in changes]
        filters = [Selection(where=parse_where({"group": group})) for group in groups]
        transaction = Transaction(operations, snapshot, list(found), filters, neighborhoods=neighborhoods)
        return Part(transaction, changes, found, groups, nearest)

    def _changes(self) -> list[Change]:
        changes = [self._change(self._random.choice((*Op, Op.UPSERT))) for _ in range(self._random.randint(1, 3))]
        if self._random.random() < 0.2:
            changes.insert(0, Change(Op.DELETE, None, self._random.randrange(GROUPS)))
        return changes

    def _find(self, snapshot: int | None, nearest: dict[Nearest, list[int]], neighborhoods: list[Neighborhood]) -> int:
        """Query the nearest records of a place; the snapshot."""
        query = Nearest(
            self._random.randrange(PLACES),
            self._random.randint(1, 3),
            self._random.choice((None, 10.5)),
            self._random.choice((None, self._random.randrange(GROUPS))),
        )
        selection = Selection(where=None if query.group is None else parse_where({"group": query.group}))
        vector = np.array([query.place, 0], np.float32)
        hits = self._engine.find_in_transaction(
            self._scope, vector[np.newaxis], query.k, selection, frozenset(), position=snapshot, exact=True
        )
        distances = [int(distance) for distance in hits.distances if query.within is None or distance <= query.within]
        nearest[query] = distances
        neighborhoods.append(Neighborhood(selection, vector, limit_of(hits.distances, query.k, query.within)))
        assert snapshot in (None, hits.position)
        return hits.position

    def _change(self, op: Op) -> Change:
        self._value += 1
        return Change(op, f"k{self._random.randrange(KEYS)}", self._value)


def _values(metadatas: Sequence[bytes | None] | None) -> list[int]:
    return [orjson.loads(metadata or b"{}")["value"] for metadata in metadatas or ()]


def _operation(change: Change) -> Batch | FilteredDelete:
    if change.key is None:
        return FilteredDelete(Selection(where=parse_where({"group": change.value})))
    return _batch(change)


def _batch(change: Change) -> Batch:
    keys = [change.key or ""]
    if change.op is Op.DELETE:
        return Batch(Op.DELETE, keys)
    metadata = {"value": change.value, "group": change.value % GROUPS}
    return Batch(change.op, keys, np.array([[change.value % PLACES, 0]], np.float32), metadatas=[metadata])
