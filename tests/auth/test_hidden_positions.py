"""Hidden positions: found again by every process of the deployment, for the same purpose alone."""

import random
from pathlib import Path

import pytest

from afterglow.auth.hidden_positions import HiddenPositions
from afterglow.errors import UnsupportedFormat
from afterglow.settings import System
from afterglow.storage.ports import Table
from tests.support.stores import stores_at


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return stores_at(tmp_path).table


def test_every_process_finds_them(table: Table) -> None:
    first, second = (HiddenPositions(table, System(random=random.Random(seed))) for seed in (1, 2))
    for position in (0, 1, 2**63 - 1):
        text = first.hide(position, "reads")
        assert second.find(text, "reads") == position
        assert second.find(text, "changes") is None
    assert first.hide(7, "reads") != first.hide(7, "reads")


def test_no_other_text_is_one(table: Table) -> None:
    positions = HiddenPositions(table, System())
    text = positions.hide(5, "reads")
    for at, character in enumerate(text):
        other = "A" if character != "A" else "w"
        assert positions.find(text[:at] + other + text[at + 1 :], "reads") is None
    assert [positions.find(other, "reads") for other in ("", "5", text + "A", text[:-1] + "é")] == [None] * 4


def test_two_processes_that_make_the_secret_at_once_agree(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    late = HiddenPositions(table, System())
    early = HiddenPositions(table, System())
    text = early.hide(5, "reads")
    monkeypatch.setattr(table, "get", lambda *_: None)
    assert late.find(text, "reads") == 5


def test_the_secret_of_a_newer_release(table: Table) -> None:
    table.put("HIDDEN_POSITIONS", "SECRET", b'{"format":2}')
    with pytest.raises(UnsupportedFormat):
        HiddenPositions(table, System()).hide(5, "reads")
