"""Commits: one entry or nothing, across flushes and trims, lost responses, two kinds of tables; the retention's end."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.replica.replica import Replica
from afterglow.collection.types import Scope, Selection
from afterglow.collection.write import read_condition, transaction
from afterglow.collection.write.recent_writes import EntryWrites
from afterglow.collection.write.transaction import FilteredDelete, Transaction
from afterglow.errors import Busy, InvalidArgument, StaleRead, Unavailable, WriteConflict, WrongDimension
from afterglow.filters.parse import parse_where
from afterglow.jobs.indexer import index
from afterglow.log import archive
from afterglow.log import entry as entries
from afterglow.log import read as log
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.log.collection_log import CostlyTransactions
from tests.support.faulty import Fault, Faults
from tests.support.model import EVERYTHING, Model, as_pairs, canonical
from tests.support.stores import SMALL, WITH_RETENTION, new_collection, quick_folder, stores_at, with_faults

NONCE = "n" * 24


def upsert(*names: str, value: float = 1.0, op: Op = Op.UPSERT) -> Batch:
    return Batch(op, list(names), np.full((len(names), 3), value, np.float32), metadatas=[{"v": value}] * len(names))


def where(value: float) -> Selection:
    return Selection(where=parse_where({"v": value}))


@dataclass
class OneCollection:
    """A collection with the records a to d of value 1."""

    stores: Stores
    scope: Scope
    engine: Engine

    def write(self, *names: str, value: float = 2.0) -> None:
        Engine(self.stores).write(self.scope, upsert(*names, value=value))

    def index(self) -> None:
        index(self.stores, Replica.for_indexer(self.stores, self.scope.collection), self.scope.collection, idle=True)

    def begin(self) -> int:
        return self.engine.count(self.scope).position or 0

    def commit(self, *operations: Batch | FilteredDelete, position: int | None = None, **read: object) -> int | None:
        return self.engine.commit(self.scope, Transaction(operations, position, **read)).position  # type: ignore[arg-type]

    def read(self, selection: Selection = Selection(), *, position: int | None = None) -> list[str]:  # noqa: B008
        return self.engine.get_in_transaction(self.scope, selection, None, 0, EVERYTHING, position=position).ids

    def entry(self, seq: int) -> entries.Entry:
        return log.read_after(self.stores.table, self.scope.collection, seq - 1).entries[0]


def collection_in(stores: Stores) -> OneCollection:
    found = OneCollection(stores, new_collection(stores)[0], Engine(stores))
    found.engine.write(found.scope, upsert("a", "b", "c", "d"))
    return found


@pytest.fixture
def env() -> Iterator[OneCollection]:
    with quick_folder() as folder:
        stores = stores_at(folder, replace(WITH_RETENTION, log_inline_max_bytes=2_000))
        yield collection_in(stores)
        stores.table.close()


@pytest.fixture(params=["in a directory", "in an account"])
def either(request: pytest.FixtureRequest) -> Iterator[OneCollection]:
    with quick_folder() as folder:
        stores = stores_at(folder, WITH_RETENTION)
        if request.param == "in an account":
            stores = replace(stores, table=CostlyTransactions(stores.table))
        yield collection_in(stores)
        stores.table.close()


def flush(env: OneCollection) -> None:
    """Flush, and trim what was flushed."""
    env.index()
    env.index()


def do_nothing(_: OneCollection) -> None:
    """Leave the log as it is."""


FLUSHINGS: tuple[Callable[[OneCollection], None], ...] = (do_nothing, OneCollection.index, flush)


def test_operations_are_one_entry_whatever_its_size(env: OneCollection) -> None:
    model = Model()
    model.apply(upsert("a", "b", "c", "d"))
    for rows, is_inline in ((1, True), (60, False)):
        operations = (
            Batch(Op.DELETE, ["a"]),
            upsert("a", *map(str, range(rows)), value=3.0, op=Op.ADD),
            Batch(Op.UPDATE, ["a", "b"], documents=["x", "y"]),
        )
        for batch in operations:
            model.apply(batch)
        position = env.commit(*operations, position=env.begin(), read_ids=["a"])
        assert position is not None
        entry = env.entry(position)
        assert (entry.batch_count, entry.op_count, entry.payload_key is None) == (3, rows + 4, is_inline)
    for flushing in FLUSHINGS:
        flushing(env)
        for engine in (env.engine, Engine(env.stores)):
            found = engine.get(env.scope, Selection(), None, 0, EVERYTHING)
            assert canonical(as_pairs(found)) == canonical([*model.records.items()])


def test_one_operation_is_an_ordinary_entry(env: OneCollection) -> None:
    position = env.commit(upsert("e"), position=env.begin(), read_ids=["e"])
    assert position == 2
    assert env.entry(2).batch_count == 1


@pytest.mark.parametrize("flushes", [0, 1, 2])
def test_conflicts_are_found_in_the_log_and_in_the_archive(either: OneCollection, flushes: int) -> None:
    either.write("x")
    begun = either.begin()
    for _ in range(3):
        either.write("b")
    for _ in range(flushes):
        either.index()
    either.write("y")
    with pytest.raises(WriteConflict):
        either.commit(upsert("z"), position=begun, read_ids=["a", "b"])
    with pytest.raises(WriteConflict):
        either.commit(upsert("z"), position=begun, filters=[where(1.0)])
    assert either.commit(upsert("z"), position=begun, read_ids=["a", "c"], filters=[where(7.0)]) == 7
    assert either.read(Selection(["b", "x", "z"]), position=begun) == ["b", "x"]


def test_the_filter_matches_before_or_now(env: OneCollection) -> None:
    begun = env.begin()
    env.write("a", value=2.0)
    for value in (1.0, 2.0):
        with pytest.raises(WriteConflict):
            env.commit(upsert("z"), position=begun, filters=[where(value)])
    env.write("a", value=3.0)
    # Value 2 was there only in between: the read would find the same again.
    assert env.commit(upsert("z"), position=begun, filters=[where(2.0)]) == 4
    only_b = replace(where(1.0), ids=["b"])
    assert env.commit(upsert("z"), position=begun, filters=[only_b]) == 5


def test_a_delete_by_filter_is_exact(env: OneCollection) -> None:
    env.write("b")
    assert env.engine.commit(env.scope, Transaction([FilteredDelete(where(1.0), 2), upsert("e")])).records == 3
    assert env.read() == ["b", "d", "e"]
    chosen = FilteredDelete(replace(where(1.0), ids=["e", "b", "absent"]), 1)
    assert env.engine.commit(env.scope, Transaction([chosen])).records == 1
    assert env.read() == ["b", "d"]
    assert env.engine.commit(env.scope, Transaction([FilteredDelete(where(9.0))])).position is None


def test_what_comes_in_between_is_checked_too(either: OneCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The put fails because another writer was first: the conflict that it makes is found before the next put."""
    begun = either.begin()
    check = read_condition.ReadCondition.check

    def and_write(
        condition: read_condition.ReadCondition, seq: int, known: Sequence[EntryWrites] | None = None
    ) -> None:
        check(condition, seq, known)
        monkeypatch.setattr(read_condition.ReadCondition, "check", check)
        Engine(either.stores).write(either.scope, upsert("a"))

    for read in ({"read_ids": ["a"]}, {"filters": [where(1.0)]}):
        monkeypatch.setattr(read_condition.ReadCondition, "check", and_write)
        with pytest.raises(WriteConflict):
            either.commit(upsert("z"), position=begun, **read)
        begun = either.begin()
    assert either.read(Selection(["z"])) == []


def test_a_refused_commit_changes_nothing(env: OneCollection) -> None:
    begun = env.begin()
    env.engine.write(env.scope, upsert("a"))
    before = env.engine.get_collection_by_id(env.scope)
    with pytest.raises(WriteConflict):
        env.commit(Batch(Op.UPDATE, ["b"], metadatas=[{"new": 1}]), position=begun, read_ids=["a"])
    assert env.engine.get_collection_by_id(env.scope) == before
    with pytest.raises(WrongDimension):
        env.commit(upsert("z"), Batch(Op.UPSERT, ["y"], np.zeros((1, 2), np.float32)))
    assert env.begin() == begun + 1


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.REPEATED])
@pytest.mark.parametrize("read", [{"read_ids": ["z"]}, {"filters": [where(7.0)]}])
def test_a_lost_response_of_the_table(env: OneCollection, fault: Fault, read: dict[str, object]) -> None:
    faults = Faults(lambda _, name: fault if name == "table.transact" else None)
    begun = env.begin()
    failing = replace(env, stores=with_faults(env.stores, faults), engine=Engine(with_faults(env.stores, faults)))
    try:
        committed = failing.commit(upsert("z"), upsert("y"), position=begun, nonce=NONCE, **read)
    except Unavailable:
        committed = env.commit(upsert("z"), upsert("y"), position=begun, nonce=NONCE, **read)
    assert committed == env.begin() == begun + 1


@pytest.mark.parametrize("flushes", [0, 1, 2])
def test_a_commit_whose_answer_was_lost_is_recognised(either: OneCollection, flushes: int) -> None:
    begun = either.begin()
    transaction = Transaction([upsert("z"), upsert("y")], begun, ["z"], nonce=NONCE)
    first = either.engine.commit(either.scope, transaction)
    either.write("z")
    for _ in range(flushes):
        either.index()
    again = either.engine.commit(either.scope, transaction)
    assert (again.position, again.records) == (first.position, first.records) == (begun + 1, 2)
    assert either.begin() == begun + 2


def test_reads_at_a_token_survive_flushes(either: OneCollection) -> None:
    begun = either.begin()
    for flushing in FLUSHINGS:
        either.write("a", "e")
        flushing(either)
        assert either.read(where(1.0), position=begun) == ["a", "b", "c", "d"]
        assert either.read(Selection(["e", "d"]), position=begun) == ["d"]


@pytest.mark.parametrize("flushes", [0, 1, 2])
def test_records_that_were_not_written_since_are_read_without_the_past(either: OneCollection, flushes: int) -> None:
    begun = either.begin()
    either.write("a", "e")
    for _ in range(flushes):
        either.index()
    faults = Faults()
    env = replace(either, engine=Engine(with_faults(either.stores, faults)))
    env.begin()
    faults.calls.clear()
    only_b = replace(where(1.0), ids=["b", "absent"])
    found = env.engine.get_in_transaction(env.scope, only_b, None, 0, EVERYTHING, position=begun)
    assert (found.ids, found.position) == (["b"], begun)
    if not flushes:  # else the entries are in the archive, which is listed
        assert not [name for name in faults.calls if name.startswith("objects.")]
    assert env.read(Selection(["e", "b", "a"]), position=begun) == ["a", "b"]


def test_without_time_travel_a_transaction_lasts_until_the_garbage_collection() -> None:
    with quick_folder() as folder:
        stores = stores_at(folder, SMALL)
        env = collection_in(stores)
        begun = env.begin()
        env.write("a", "e")
        assert env.read(where(1.0), position=begun) == ["a", "b", "c", "d"]
        assert env.commit(upsert("b"), position=begun, read_ids=["b"]) == 3
        flush(env)
        stores.objects.delete_many([found.key for found in archive.list_archives(stores.objects, env.scope.collection)])
        env = replace(env, engine=Engine(stores))  # the other one still has the snapshot
        with pytest.raises(StaleRead):
            env.read(position=begun)
        for read in ({"read_ids": ["b"]}, {"filters": [where(1.0)]}):
            with pytest.raises(StaleRead):
                env.commit(upsert("b"), position=begun, **read)
        stores.table.close()


def test_bounds_of_a_transaction(env: OneCollection, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = env.begin()
    for _ in range(3):
        env.write("x")
    for name, limit in (("MAX_ENTRIES", 2), ("_MAX_BYTES", 10)):
        with monkeypatch.context() as patched:
            patched.setattr(read_condition, name, limit)
            with pytest.raises(StaleRead):
                env.commit(upsert("b"), position=begun, read_ids=["b"])
    monkeypatch.setattr(read_condition, "_PAGE", 2)
    assert env.commit(upsert("b"), position=begun, read_ids=["b"]) == begun + 4
    with pytest.raises(InvalidArgument, match="the log ends at position 5"):
        env.commit(upsert("b"), position=99, read_ids=["b"])


def test_a_commit_without_contention_is_one_put(either: OneCollection) -> None:
    """As cheap as a plain write: nothing is read."""
    faults = Faults()
    env = replace(either, stores=with_faults(either.stores, faults), engine=Engine(with_faults(either.stores, faults)))
    calls: list[Callable[[], object]] = [
        lambda: env.engine.write(env.scope, upsert("e")),
        lambda: env.commit(upsert("f"), upsert("a"), position=env.begin(), read_ids=["f", "a"]),
    ]
    counted = []
    for call in calls:
        call()
        env.begin()
        faults.calls.clear()
        call()
        counted.append([name.split()[0] for name in faults.calls if name != "table.query"])
    assert counted[0] == counted[1]


def test_overload_refuses_a_transaction_before_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    with quick_folder() as folder:
        found = collection_in(stores_at(folder, replace(SMALL, max_unflushed_ops=4)))
        monkeypatch.setattr(transaction, "evaluate", lambda *_: pytest.fail("the transaction reads"))
        with pytest.raises(Busy, match="wait to be indexed"):
            found.commit(upsert("e"), FilteredDelete(where(1.0)))
        found.stores.table.close()
