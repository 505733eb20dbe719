"""Hidden positions: found again by every process of the deployment, for the same purpose alone."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from afterglow.auth.hidden_positions import HiddenPositions
from afterglow.errors import LimitExceeded, UnsupportedFormat
from afterglow.settings import System
from afterglow.storage.ports import Table
from tests.support.stores import stores_at

LAST = 2**32 - 1


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return stores_at(tmp_path).table


def test_every_process_finds_them(table: Table) -> None:
    first, second = (HiddenPositions(table, System(random=random.Random(seed))) for seed in (1, 2))
    for position in (0, 1, 77_777, LAST):
        number = first.hide(position, "reads")
        assert 0 < number < 2**53
        assert second.find(number, "reads") == position
        assert second.find(number, "changes") != position


def test_numbers_of_one_position_differ_until_the_salts_are_used_up(table: Table) -> None:
    positions = HiddenPositions(table, System())
    assert len({positions.hide(7, "reads") for _ in range(20_000)}) == 20_000


def test_numbers_have_no_order_and_no_bit_that_stays(table: Table) -> None:
    """Of successive positions: half of the neighbours descend, and every bit is set in half of the numbers."""
    positions = HiddenPositions(table, System(random=random.Random(3)))
    numbers = [positions.hide(position, "reads") for position in range(4_000)]
    descending = sum(one > other for one, other in pairwise(numbers))
    assert 1_800 < descending < 2_200
    for bit in range(53):
        assert 1_800 < sum(number >> bit & 1 for number in numbers) < 2_200, bit


def test_any_number_is_some_position(table: Table) -> None:
    """So a guess is seldom among the last of the log: here a 260,000th of the positions."""
    positions, chance = HiddenPositions(table, System()), random.Random(4)
    found = [positions.find(chance.randrange(1, 2**53), "reads") for _ in range(4_000)]
    assert all(position is not None and 0 <= position <= LAST for position in found)
    assert sum(position is not None and position < 2**14 for position in found) <= 2
    assert [positions.find(number, "reads") for number in (0, 2**53, 2**64 - 1)] == [None] * 3


def test_a_position_that_is_too_large(table: Table) -> None:
    with pytest.raises(LimitExceeded, match="position 4294967296 of the log cannot be hidden"):
        HiddenPositions(table, System()).hide(LAST + 1, "reads")


def test_two_processes_that_make_the_secret_at_once_agree(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    late = HiddenPositions(table, System())
    early = HiddenPositions(table, System())
    number = early.hide(5, "reads")
    monkeypatch.setattr(table, "get", lambda *_: None)
    assert late.find(number, "reads") == 5


def test_the_secret_of_a_newer_release(table: Table) -> None:
    table.put("HIDDEN_POSITIONS", "SECRET", b'{"format":2}')
    with pytest.raises(UnsupportedFormat):
        HiddenPositions(table, System()).hide(5, "reads")
