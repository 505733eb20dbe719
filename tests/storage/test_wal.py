"""The switch to write-ahead logging: whoever opens a new file beside others waits for them, and never in vain."""

import sqlite3
from pathlib import Path
from typing import cast

import pytest

from afterglow.storage.local.wal import use_wal
from tests.contract.racing import in_threads

SWITCH, WAITS = "PRAGMA journal_mode = WAL", ["BEGIN IMMEDIATE", "COMMIT"]


class Refusing:
    """A connection that is refused the switch so many times, and notes what is executed."""

    def __init__(self, refusals: int, code: int = sqlite3.SQLITE_BUSY) -> None:
        self.refusals, self.code = refusals, code
        self.executed: list[str] = []

    def execute(self, statement: str) -> None:
        self.executed.append(statement)
        if statement == SWITCH and self.refusals:
            self.refusals -= 1
            error = sqlite3.OperationalError("refused")
            error.sqlite_errorcode = self.code
            raise error


def switch(connection: Refusing) -> None:
    use_wal(cast("sqlite3.Connection", connection))


def test_a_refused_switch_waits_for_the_other_writer_and_is_repeated() -> None:
    connection = Refusing(2)
    switch(connection)
    assert connection.executed == [SWITCH, *WAITS, SWITCH, *WAITS, SWITCH]


@pytest.mark.parametrize(("refusals", "code"), [(10**6, sqlite3.SQLITE_BUSY), (1, sqlite3.SQLITE_IOERR)])
def test_other_errors_and_endless_refusals_are_raised(refusals: int, code: int) -> None:
    connection = Refusing(refusals, code)
    with pytest.raises(sqlite3.OperationalError, match="refused"):
        switch(connection)
    assert len(connection.executed) < 100


def test_many_switch_a_new_file_at_once(tmp_path: Path) -> None:
    def mode(number: int) -> str:
        connection = sqlite3.connect(tmp_path / f"file {number // 8}", timeout=30, isolation_level=None)
        try:
            use_wal(connection)
            found: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
        finally:
            connection.close()
        return found

    assert in_threads(64, mode) == ["wal"] * 64
