"""Commits of two collections: in both or in none, on two kinds of tables, with conflicts, faults and lost answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope, Selection
from afterglow.collection.write.transaction import CommitResult, FilteredDelete, Transaction
from afterglow.errors import NotFound, StaleRead, Unavailable, WriteConflict, WrongDimension
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log import read as log
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.collection.kinds_of_tables import KINDS_OF_TABLES, stores_in
from tests.support.faulty import Fault, Faults
from tests.support.model import EVERYTHING
from tests.support.stores import WITH_RETENTION, new_collection, with_faults

NONCE = "n" * 24


def upsert(*names: str, value: float = 1.0, rows: int = 3) -> Batch:
    return Batch(
        Op.UPSERT, list(names), np.full((len(names), rows), value, np.float32), metadatas=[{"v": value}] * len(names)
    )


def where(value: float) -> Selection:
    return Selection(where=parse_where({"v": value}))


@dataclass
class Two:
    """Two collections, each with the record a."""

    stores: Stores
    scopes: tuple[Scope, Scope]
    engine: Engine

    def write(self, number: int, *names: str, value: float = 2.0) -> None:
        Engine(self.stores).write(self.scopes[number], upsert(*names, value=value))

    def ends(self) -> list[int]:
        return [self.engine.count(scope).position or 0 for scope in self.scopes]

    def commit(self, first: Transaction, second: Transaction) -> list[CommitResult]:
        return self.engine.commit_together([*zip(self.scopes, (first, second), strict=True)])

    def ids(self) -> list[list[str]]:
        return [Engine(self.stores).get(scope, Selection(), None, 0, EVERYTHING).ids for scope in self.scopes]

    def flush(self) -> None:
        """Flush both, and trim what was flushed."""
        for scope in self.scopes * 2:
            index(self.stores, Replica.for_indexer(self.stores, scope.collection), scope.collection, idle=True)


@pytest.fixture(params=KINDS_OF_TABLES)
def two(request: pytest.FixtureRequest) -> Iterator[Two]:
    with stores_in(request.param, replace(WITH_RETENTION, log_inline_max_bytes=2_000)) as stores:
        first = new_collection(stores)[0]
        second = new_collection(stores, name="second")[0]
        found = Two(stores, (first, second), Engine(stores))
        for number in range(2):
            found.write(number, "a", value=1.0)
        yield found


def test_both_get_their_entry_at_one_time_whatever_its_size(two: Two) -> None:
    for rows in (1, 200):
        names = [f"{rows} {number}" for number in range(rows)]
        before = two.ends()
        results = two.commit(Transaction([upsert(*names)], 1, ["x"]), Transaction([Batch(Op.DELETE, ["a"])]))
        assert results == [CommitResult(before[0] + 1, rows), CommitResult(before[1] + 1, 1)]
        written = [
            log.read_after(two.stores.table, scope.collection, end).entries[0]
            for scope, end in zip(two.scopes, before, strict=True)
        ]
        assert written[0].appended_at == written[1].appended_at
        assert (written[0].payload_key is None) == (rows == 1)
    assert [len(ids) for ids in two.ids()] == [202, 0]
    two.flush()
    assert [len(ids) for ids in two.ids()] == [202, 0]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("flushes", [False, True])
@pytest.mark.parametrize("read", [{"read_ids": ["a"]}, {"filters": [where(1.0)]}])
def test_a_conflict_in_one_refuses_both(two: Two, number: int, flushes: bool, read: dict[str, object]) -> None:
    begun = two.ends()
    two.write(number, "a")
    if flushes:
        two.flush()
    before = two.ends()
    parts = [Transaction([upsert("z")], end, **read) for end in begun]  # type: ignore[arg-type]
    with pytest.raises(WriteConflict):
        two.commit(parts[0], parts[1])
    only_read = replace(parts[number], operations=[])
    parts[number] = only_read
    with pytest.raises(WriteConflict):
        two.commit(parts[0], parts[1])
    assert (two.ends(), two.ids()) == (before, [["a"], ["a"]])


def test_what_was_only_read_is_held_until_the_append(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that comes between the check and the append conflicts, also in a collection that is not written to."""
    begun = two.ends()
    transact = two.stores.table.transact

    def after_a_write(writes: Sequence[object]) -> None:
        monkeypatch.undo()
        two.write(1, "a")
        transact(writes)  # type: ignore[arg-type]

    for operations in ([upsert("z")], []):
        monkeypatch.setattr(two.stores.table, "transact", after_a_write)
        with pytest.raises(WriteConflict):
            two.commit(Transaction(operations, begun[0], ["a"]), Transaction([], begun[1], ["a"]))
        begun = two.ends()
    monkeypatch.setattr(two.stores.table, "transact", after_a_write)
    results = two.commit(Transaction([upsert("z")], begun[0], ["a"]), Transaction([], begun[1], ["b"]))
    assert results == [CommitResult(begun[0] + 1, 1), CommitResult(None, 0)]
    assert two.ids() == [["a", "z"], ["a"]]


def test_deletes_by_filter_and_parts_without_writes(two: Two) -> None:
    matching, nothing = FilteredDelete(where(1.0)), FilteredDelete(where(9.0))
    results = two.commit(Transaction([matching, upsert("b")]), Transaction([nothing]))
    assert results == [CommitResult(2, 2), CommitResult(None, 0)]
    assert two.ids() == [["b"], ["a"]]
    assert two.commit(Transaction([], 2, ["b"]), Transaction([], 1, ["a"])) == [CommitResult(None, 0)] * 2


def test_a_refused_commit_changes_neither_collection(two: Two) -> None:
    before = [two.engine.get_collection_by_id(scope) for scope in two.scopes]
    new_key = Batch(Op.UPDATE, ["a"], metadatas=[{"new": 1}])
    with pytest.raises(WrongDimension):
        two.commit(Transaction([new_key]), Transaction([upsert("z", rows=2)]))
    two.write(1, "a")
    with pytest.raises(WriteConflict):
        two.commit(Transaction([new_key]), Transaction([upsert("z")], 1, ["a"]))
    assert [two.engine.get_collection_by_id(scope) for scope in two.scopes] == before
    assert two.commit(Transaction([new_key]), Transaction([upsert("z")]))[1].position == 3
    other = replace(two.scopes[1], database="another")
    with pytest.raises(NotFound):
        two.engine.commit_together([(two.scopes[0], Transaction([upsert("y")])), (other, Transaction([upsert("y")]))])
    assert two.ids() == [["a"], ["a", "z"]]


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.REPEATED])
def test_a_lost_response_of_the_table(two: Two, fault: Fault) -> None:
    faults = Faults(lambda _, name: fault if name == "table.transact" else None)
    failing = replace(two, engine=Engine(with_faults(two.stores, faults)))
    parts = [Transaction([upsert("z")], end, ["z"], nonce=NONCE) for end in two.ends()]
    try:
        committed = failing.commit(parts[0], parts[1])
    except Unavailable:
        committed = two.commit(parts[0], parts[1])
    assert committed == [CommitResult(2, 1)] * 2
    assert two.ends() == [2, 2]


@pytest.mark.parametrize("flushes", [False, True])
def test_a_commit_whose_answer_was_lost_is_recognised(two: Two, flushes: bool) -> None:
    parts = [Transaction([upsert("z")], 1, ["z"], nonce=NONCE), Transaction([], 1, ["a"], nonce=NONCE)]
    first = two.commit(parts[0], parts[1])
    two.write(0, "z")
    two.write(1, "a")  # a conflict, were it not committed already
    if flushes:
        two.flush()
    assert two.commit(parts[0], parts[1]) == first == [CommitResult(2, 1), CommitResult(None, 0)]
    with pytest.raises((WriteConflict, StaleRead)):
        two.commit(*[replace(part, nonce="m" * 24) for part in parts])
    assert two.ends() == [3, 2]
