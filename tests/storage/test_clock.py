"""A wrong clock of this machine makes a period longer, never shorter, where the store has a clock of its own."""

import time
from pathlib import Path

import pytest

from afterglow.settings import System
from afterglow.storage.clock import earliest_now, latest_now, writing_now
from afterglow.storage.local.table import SqliteTable
from tests.support.aws import guarded_clients, make, moto_aws
from tests.support.faulty import Dated

NOW, WEEK = 1_000_000.0, 7 * 24 * 3600.0


@pytest.mark.parametrize("error", [-WEEK, -1.0, 0.0, 1.0, WEEK])
def test_one_wrong_clock_ends_nothing_early(tmp_path: Path, error: float) -> None:
    table = Dated(SqliteTable(tmp_path / "table.sqlite"), NOW)
    system = System(now=lambda: NOW + error)
    assert earliest_now(table, system) <= NOW
    assert latest_now(table, system) >= NOW
    assert writing_now(table, system) == min(NOW + error, NOW + 2)
    table.close()


def test_a_directory_has_the_clock_of_its_machine_alone(tmp_path: Path) -> None:
    table, system = SqliteTable(tmp_path / "table.sqlite"), System(now=lambda: NOW)
    assert earliest_now(table, system) == latest_now(table, system) == writing_now(table, system) == NOW
    table.close()


def test_the_table_of_an_account_carries_on_the_time_of_its_last_response() -> None:
    from afterglow.storage.aws.table import DynamoTable

    with moto_aws():
        made, clients = make(), guarded_clients()
        elapsed = [10.0]
        clients.system = System(monotonic=lambda: elapsed[0])
        table = DynamoTable(clients, made.table)
        assert table.time() is None
        table.put("a", "b", b"")
        stored = table.time()
        assert stored is not None
        assert abs(stored - time.time()) < 60
        elapsed[0] += WEEK
        assert table.time() == stored + WEEK
        clients.forget_credentials()
