"""Writes that are held for a moment: who is refused, what goes on, and what stays of it; on three kinds of tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from afterglow.collection import Engine
from afterglow.collection.changes.position import ChangePosition
from afterglow.collection.replica.replica import Replica
from afterglow.collection.restriction import check_where
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Restriction, Scope, Selection
from afterglow.collection.write.hold import MAX_SECONDS, hold, release
from afterglow.collection.write.transaction import FilteredDelete, Transaction
from afterglow.errors import Busy, Unavailable
from afterglow.filters.parse import parse_where
from afterglow.jobs import verify
from afterglow.jobs.every_collection import all_collections
from afterglow.jobs.indexer import index
from afterglow.log.batch import Batch, Op
from afterglow.storage.ports import Stores
from tests.collection.kinds_of_tables import KINDS_OF_TABLES, stores_in
from tests.support.faulty import Fault, Faults, nth
from tests.support.model import EVERYTHING
from tests.support.stores import WITH_RETENTION, new_collection, with_faults

SECONDS = 30.0
ONES = Selection(where=parse_where({"v": 1}))
ALL = check_where(b'{"v": {"$gte": 0}}')


def upsert(name: str) -> Batch:
    return Batch(Op.UPSERT, [name], np.ones((1, 3), np.float32), metadatas=[{"v": 1}])


@dataclass
class Held:
    """Two collections, each with the record a, and a writer that has written to both."""

    stores: Stores
    scopes: tuple[Scope, Scope]
    writer: Engine

    @property
    def scope(self) -> Scope:
        return self.scopes[0]

    @property
    def restricted(self) -> Scope:
        return replace(self.scope, restriction=Restriction({"*": ALL}))

    def ids(self) -> list[str]:
        return Engine(self.stores).get(self.scope, Selection(), None, 0, EVERYTHING).ids


@pytest.fixture(params=KINDS_OF_TABLES)
def held(request: pytest.FixtureRequest) -> Iterator[Held]:
    with stores_in(request.param, WITH_RETENTION) as stores:
        scopes = new_collection(stores)[0], new_collection(stores, name="second")[0]
        found = Held(stores, scopes, Engine(stores))
        for scope in scopes:
            found.writer.write(scope, upsert("a"))
        yield found


WRITES: dict[str, Callable[[Held], object]] = {
    "upsert": lambda held: held.writer.write(held.scope, upsert("b")),
    "delete by id": lambda held: held.writer.delete(held.scope, Selection(["a"])),
    "delete by filter": lambda held: held.writer.delete(held.scope, ONES),
    "delete by filter, the first of a process": lambda held: Engine(held.stores).delete(held.scope, ONES),
    "restricted upsert": lambda held: held.writer.write(held.restricted, upsert("b")),
    "transaction": lambda held: held.writer.commit(held.scope, Transaction([upsert("b")])),
    "transaction that deletes": lambda held: held.writer.commit(held.scope, Transaction([FilteredDelete(ONES)])),
    "joint transaction": lambda held: held.writer.commit_together(
        [(scope, Transaction([upsert("b")])) for scope in held.scopes]
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_writer_is_refused_until_the_release(held: Held, write: Callable[[Held], object]) -> None:
    before = held.ids()
    hold(held.stores, held.scope, SECONDS)
    end = held.writer.count(held.scope).position
    for _ in range(2):
        with pytest.raises(Busy, match="about to be replaced") as refused:
            write(held)
        assert 0 < refused.value.retry_after <= 1
    assert (held.writer.count(held.scope).position, held.ids()) == (end, before)
    release(held.stores, held.scope.collection)
    write(held)
    assert held.ids() != before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_writer_that_has_seen_nothing_loses_the_race(held: Held, write: Callable[[Held], object]) -> None:
    """No read in between: only the entry at the end of the log lets the writer find out."""
    hold(held.stores, held.scope, SECONDS)
    with pytest.raises(Busy, match="about to be replaced"):
        write(held)


def test_a_hold_ends_by_itself(held: Held) -> None:
    hold(held.stores, held.scope, SECONDS)
    with pytest.raises(Busy):
        held.writer.write(held.scope, upsert("b"))
    held.stores.system.sleep(SECONDS + 1)
    held.writer.write(held.scope, upsert("b"))
    assert held.ids() == ["a", "b"]


def test_a_hold_by_a_clock_that_is_far_ahead_is_ignored(held: Held) -> None:
    ahead = replace(held.stores.system, now=lambda: held.stores.system.now() + 2 * MAX_SECONDS)
    hold(replace(held.stores, system=ahead), held.scope, SECONDS)
    if held.stores.table.time() is None:
        held.writer.write(held.scope, upsert("b"))
    else:
        with pytest.raises(Busy):
            held.writer.write(held.scope, upsert("b"))


def test_other_collections_and_reads_go_on(held: Held) -> None:
    hold(held.stores, held.scope, SECONDS)
    held.writer.write(held.scopes[1], upsert("b"))
    assert held.writer.count(held.scope).count == 1
    assert held.writer.commit(held.scope, Transaction([], 1, ["x"])).position is None


def test_the_entry_of_a_hold_is_one_without_operations(held: Held) -> None:
    """A follower passes it, an indexer flushes it, the past has it, and nothing is amiss."""
    hold(held.stores, held.scope, SECONDS)
    end = held.writer.count(held.scope).position or 0
    page = held.writer.changes(held.scope, ChangePosition(end - 1), 10, 1_000)
    assert (page.lines, page.next) == ([], ChangePosition(end))
    release(held.stores, held.scope.collection)
    for _ in range(2):
        index(held.stores, Replica.for_indexer(held.stores, held.scope.collection), held.scope.collection, idle=True)
    held.writer.write(held.scope, upsert("b"))
    page = held.writer.changes(held.scope, ChangePosition(0), 10, 1_000_000)
    assert (len(page.lines), page.next) == (2, ChangePosition(end + 1))
    assert held.ids() == ["a", "b"]
    past = PointInTime(position=end)
    assert held.writer.get(held.scope, Selection(), None, 0, EVERYTHING, at=past).ids == ["a"]
    reports = [verify.verify(held.stores, target) for target in all_collections(held.stores)]
    assert [(report.problems, report.past_problems) for report in reports if report] == [([], [])] * 2


def test_an_indexer_leaves_expired_records_until_the_release(held: Held) -> None:
    scope, collection = new_collection(held.stores, "expiring", metadata={"afterglow:ttl_key": "t"})
    past = held.stores.system.now() - 100
    held.writer.write(scope, replace(upsert("old"), metadatas=[{"t": past}]))
    hold(held.stores, scope, SECONDS)
    replica = Replica.for_indexer(held.stores, collection.id)
    assert index(held.stores, replica, collection.id, idle=True).expired == 0
    release(held.stores, collection.id)
    assert index(held.stores, replica, collection.id, idle=True).expired == 1


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST, Fault.REPEATED])
def test_a_table_that_fails(held: Held, fault: Fault) -> None:
    for number in range(40):
        faults = Faults(nth(number, fault))
        try:
            hold(with_faults(held.stores, faults), held.scope, SECONDS)
        except Unavailable:
            hold(held.stores, held.scope, SECONDS)
        with pytest.raises(Busy):
            held.writer.write(held.scope, upsert("b"))
        release(held.stores, held.scope.collection)
        held.writer.write(held.scope, upsert("b"))
        if number >= len(faults.calls):
            break
    assert number > 1
