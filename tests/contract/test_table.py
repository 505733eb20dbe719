"""The contract of the Table port."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put, Table
from tests.contract.adapters import TABLES, Adapter, params
from tests.contract.racing import claim, claim_in_process, in_processes, in_threads, increment


@dataclass(frozen=True)
class Place:
    """One store, and a way to open it again."""

    table: Table
    again: Callable[[], Table]


@pytest.fixture(params=params(TABLES))
def adapter(request: pytest.FixtureRequest) -> Iterator[Adapter[Table]]:
    found: Adapter[Table] = request.param
    with found.backend.entered(request):
        yield found


@pytest.fixture
def place(adapter: Adapter[Table], folder: Path) -> Iterator[Place]:
    opened: list[Table] = []

    def again() -> Table:
        opened.append(adapter.open(folder))
        return opened[-1]

    yield Place(again(), again)
    for table in opened:
        table.close()


def test_get_returns_what_was_put(place: Place) -> None:
    table = place.table
    assert table.get("p", "s") is None
    assert table.put("p", "s", b"\x00one\xff") == 1
    assert table.get("p", "s") == Item("p", "s", b"\x00one\xff", 1, None)
    assert table.put("p", "s", b"", expires_at=123) == 2
    assert table.get("p", "s") == Item("p", "s", b"", 2, 123)
    assert table.get("p", "S") is None
    assert table.get("P", "s") is None


def test_a_put_increments_the_version(place: Place) -> None:
    table = place.table
    assert [table.put("p", "s", b"x") for _ in range(3)] == [1, 2, 3]
    assert table.put("p", "s", b"x", if_version=3) == 4
    table.transact([Put("p", "s", b"y")])
    table.transact([Put("p", "s", b"z", if_version=5)])
    found = table.get("p", "s")
    assert found is not None
    assert found.version == 6


def test_if_absent_lets_only_the_first_pass(place: Place) -> None:
    table = place.table
    assert table.put("p", "s", b"first", if_absent=True) == 1
    with pytest.raises(ConditionFailed) as caught:
        table.put("p", "s", b"second", if_absent=True)
    assert caught.value.existing == Item("p", "s", b"first", 1)
    assert table.get("p", "s") == Item("p", "s", b"first", 1)
    table.delete("p", "s")
    assert table.put("p", "s", b"third", if_absent=True) == 1


def test_if_version_lets_only_that_version_pass(place: Place) -> None:
    table = place.table
    with pytest.raises(ConditionFailed) as caught:
        table.put("p", "s", b"x", if_version=1)
    assert caught.value.existing is None
    table.put("p", "s", b"one")
    assert table.put("p", "s", b"two", if_version=1) == 2
    with pytest.raises(ConditionFailed) as caught:
        table.put("p", "s", b"late", if_version=1)
    assert caught.value.existing == Item("p", "s", b"two", 2)
    assert table.get("p", "s") == Item("p", "s", b"two", 2)


def test_delete_removes_and_may_be_conditional(place: Place) -> None:
    table = place.table
    table.delete("p", "never there")
    table.put("p", "s", b"one")
    with pytest.raises(ConditionFailed) as caught:
        table.delete("p", "s", if_version=2)
    assert caught.value.existing == Item("p", "s", b"one", 1)
    table.delete("p", "s", if_version=1)
    assert table.get("p", "s") is None
    with pytest.raises(ConditionFailed) as caught:
        table.delete("p", "s", if_version=1)
    assert caught.value.existing is None


def test_get_many_returns_items_in_order(place: Place) -> None:
    table = place.table
    table.put("p", "a", b"a")
    table.put("q", "b", b"b")
    found = table.get_many([("q", "b"), ("p", "none"), ("p", "a"), ("q", "b")])
    assert [item and item.value for item in found] == [b"b", None, b"a", b"b"]
    assert table.get_many([]) == []


KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
_numbers = count()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    sks=st.sets(KEYS, max_size=12),
    after=st.just("") | KEYS,
    before=st.none() | KEYS,
    limit=st.none() | st.integers(0, 5),
    reverse=st.booleans(),
)
def test_query_returns_bytewise_order(
    place: Place, sks: set[str], after: str, before: str | None, limit: int | None, reverse: bool
) -> None:
    table, pk = place.table, f"partition {next(_numbers)}"
    table.put_many([Put(pk, sk, sk.encode()) for sk in sks])
    table.put(pk + "x", "elsewhere", b"")
    found = [item.sk for item in table.query(pk, after=after, before=before, limit=limit, reverse=reverse)]
    expected = sorted(
        (sk for sk in sks if sk.encode() > after.encode() and (before is None or sk.encode() < before.encode())),
        key=str.encode,
        reverse=reverse,
    )
    assert found == (expected if limit is None else expected[:limit])


def test_order_is_of_bytes_not_of_letters(place: Place) -> None:
    table = place.table
    for sk in ("b", "a", "B", "é", "LOG#9", "LOG#10", "STATE", "\U0001f600", "\uffff"):
        table.put("p", sk, b"")
    assert [item.sk for item in table.query("p")] == [
        "B", "LOG#10", "LOG#9", "STATE", "a", "b", "é", "\uffff", "\U0001f600",
    ]  # fmt: skip
    assert [item.sk for item in table.query("p", after="LOG#", before="LOG$", limit=1, reverse=True)] == ["LOG#9"]


def test_query_returns_more_than_a_page_of_large_items(place: Place) -> None:
    table = place.table
    body = bytes(30_000)
    table.put_many([Put("p", f"{number:04}", body) for number in range(100)])
    found = table.query("p")
    assert [item.sk for item in found] == [f"{number:04}" for number in range(100)]
    assert all(item.value == body for item in found)


def test_put_many_puts_them_all(place: Place) -> None:
    table = place.table
    table.put("p", "0003", b"before")
    table.put_many([Put("p", f"{number:04}", b"%d" % number, expires_at=number) for number in range(250)])
    found = table.query("p")
    assert [(item.value, item.expires_at) for item in found] == [(b"%d" % number, number) for number in range(250)]
    table.put_many([])


def test_transact_applies_all(place: Place) -> None:
    table = place.table
    table.put("p", "checked", b"")
    table.put("p", "changed", b"old")
    table.put("p", "gone", b"")
    table.transact(
        [
            Check("p", "checked"),
            Check("p", "never there either", if_absent=True),
            Put("p", "changed", b"new", if_version=1),
            Put("q", "made", b"", if_absent=True, expires_at=9),
            Delete("p", "gone", if_version=1),
            Delete("p", "never there"),
        ]
    )
    assert [(item.sk, item.value, item.version) for item in table.query("p")] == [
        ("changed", b"new", 2),
        ("checked", b"", 1),
    ]
    assert table.get("q", "made") == Item("q", "made", b"", 1, 9)


FAILING = [
    Check("p", "absent"),
    Check("p", "present", if_absent=True),
    Put("p", "present", b"", if_absent=True),
    Put("p", "present", b"", if_version=7),
    Put("p", "absent", b"", if_version=1),
    Delete("p", "present", if_version=7),
    Delete("p", "absent", if_version=1),
]


@pytest.mark.parametrize("failing", FAILING, ids=repr)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_transact_applies_nothing_where_one_condition_fails(
    place: Place, failing: Check | Put | Delete, position: int
) -> None:
    table = place.table
    table.put("p", "present", b"here")
    table.put("p", "doomed", b"here")
    writes: list[Check | Put | Delete] = [Put("p", "new", b""), Delete("p", "doomed")]
    writes.insert(position, failing)
    before = table.query("p")
    with pytest.raises(ConditionFailed):
        table.transact(writes)
    assert table.query("p") == before
    table.put("p", "later", b"still works")
    assert table.get("p", "later") is not None


def test_a_hundred_writes_are_one_transaction(place: Place) -> None:
    table = place.table
    table.transact([Put("p", f"{number:03}", b"", if_absent=True) for number in range(100)])
    with pytest.raises(ConditionFailed):
        table.transact([Put("p", f"{number:03}", b"", if_absent=True) for number in reversed(range(99, 199))])
    assert len(table.query("p")) == 100


def test_another_instance_sees_every_put_at_once(place: Place) -> None:
    other = place.again()
    for number in range(20):
        place.table.put("p", f"{number:02}", b"")
        assert len(other.query("p")) == number + 1
        other.put("p", f"{number:02}", b"seen")
        found = place.table.get("p", f"{number:02}")
        assert found is not None
        assert found.value == b"seen"


def test_items_survive_closing(place: Place) -> None:
    place.table.put("p", "s", b"kept")
    place.table.close()
    found = place.again().get("p", "s")
    assert found is not None
    assert found.value == b"kept"


def test_of_racing_threads_exactly_one_wins(place: Place) -> None:
    won = in_threads(4, lambda number: claim(place.table, number, 40))
    assert sorted(slot for slots in won for slot in slots) == list(range(40))


def test_counting_in_threads_loses_nothing(place: Place) -> None:
    place.table.put("race", "counter", b"0")
    in_threads(4, lambda _: increment(place.table, 25))
    found = place.table.get("race", "counter")
    assert found is not None
    assert (found.value, found.version) == (b"100", 101)


@pytest.mark.slow
@pytest.mark.parametrize("adapter", params(TABLES, processes=True), indirect=True)
def test_of_racing_processes_exactly_one_wins(place: Place, adapter: Adapter[Table], folder: Path) -> None:
    place.table.put("race", "counter", b"0")
    won = in_processes(3, partial(claim_in_process, adapter), folder)
    assert sorted(slot for slots in won for slot in slots) == list(range(40))
    found = place.table.get("race", "counter")
    assert found is not None
    assert found.value == b"45"


def test_a_fresh_store_may_be_opened_by_several_at_once(adapter: Adapter[Table], folder: Path) -> None:
    def work(number: int) -> int:
        table = adapter.open(folder)
        try:
            return table.put("p", f"{number}", b"")
        finally:
            table.close()

    assert in_threads(6, work) == [1] * 6
