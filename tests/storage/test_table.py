"""The SQLite adapter beyond its port: opening, damage, space."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from afterglow.errors import Corrupt, StorageFull, Unavailable, UnsupportedFormat
from afterglow.storage.local.table import FORMAT, SqliteTable
from afterglow.storage.ports import Check, ConditionFailed, Delete, Item, Put
from tests.contract.racing import in_threads


def _with_format(path: Path, number: int) -> Path:
    SqliteTable(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {number}")
    connection.close()
    return path


def test_a_file_of_a_later_format_is_refused(tmp_path: Path) -> None:
    path = _with_format(tmp_path / "table.sqlite", FORMAT + 1)
    expected = (
        rf"table\.sqlite has format {FORMAT + 1}, this release reads format {FORMAT}; .*: upgrade to that release"
    )
    with pytest.raises(UnsupportedFormat, match=expected):
        SqliteTable(path)


def test_a_file_of_the_older_release_is_refused_with_the_advice_to_export_and_import(tmp_path: Path) -> None:
    path = _with_format(tmp_path / "table.sqlite", 1)
    with pytest.raises(UnsupportedFormat, match=r"table\.sqlite has format 1") as raised:
        SqliteTable(path)
    assert "export each collection with that release (afterglow export)" in raised.value.message
    assert "import the files into an empty directory with this one (afterglow import)" in raised.value.message
    assert isinstance(raised.value, Corrupt)


def test_a_file_that_is_no_database_is_corrupt_and_named(tmp_path: Path) -> None:
    path = tmp_path / "table.sqlite"
    path.write_bytes(b"this is not a database" * 500)
    with pytest.raises(Corrupt, match=r"table\.sqlite is damaged"):
        SqliteTable(path)


def test_a_damaged_page_is_corrupt_and_named(tmp_path: Path) -> None:
    path = tmp_path / "table.sqlite"
    table = SqliteTable(path)
    table.put_many([Put("p", f"{number:05}", bytes(500)) for number in range(2_000)])
    table.close()
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xff" * 4096 * 200)
    damaged = SqliteTable(path)
    with pytest.raises(Corrupt, match=r"table\.sqlite is damaged"):
        damaged.query("p")
    damaged.close()


def test_a_folder_that_does_not_exist_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"table\.sqlite"):
        SqliteTable(tmp_path / "not there" / "table.sqlite")


def test_a_write_lock_held_too_long_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterglow.storage.local.table._BUSY_SECONDS", 0.05)
    path = tmp_path / "table.sqlite"
    table = SqliteTable(path)
    table.put("p", "s", b"")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        table.put("p", "t", b"")
    with pytest.raises(Unavailable, match="locked"):
        table.transact([Put("p", "t", b"")])
    assert len(table.query("p")) == 1
    holder.execute("ROLLBACK")
    holder.close()
    table.put("p", "t", b"")
    table.close()


def test_a_full_disk_is_storage_full_and_leaves_the_old_items(tmp_path: Path) -> None:
    table = SqliteTable(tmp_path / "table.sqlite")
    table.put("p", "s", b"old")
    pages = table._connection().execute("PRAGMA page_count").fetchone()[0]
    table._connection().execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(StorageFull, match=r"table\.sqlite"):
        table.put("p", "large", bytes(1_000_000))
    with pytest.raises(StorageFull):
        table.transact([Put("p", "small", b""), Put("p", "large", bytes(1_000_000))])
    assert [item.sk for item in table.query("p")] == ["s"]
    table.put("p", "small", b"")
    table.close()


@pytest.mark.slow
def test_vacuum_returns_free_pages_to_the_file_system(tmp_path: Path) -> None:
    path = tmp_path / "table.sqlite"
    table = SqliteTable(path)

    def size() -> int:
        table._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.stat().st_size

    table.put_many([Put("p", f"{number:05}", bytes(8_000)) for number in range(4_000)])
    table.put_many([Put("p", f"{number:05}", b"") for number in range(4_000)])
    full = size()
    table.vacuum(2_000)
    assert full - 3_000 * 4_096 < size() <= full - 2_000 * 4_096
    table.vacuum()
    assert size() < full / 5
    assert table._connection().execute("PRAGMA freelist_count").fetchone() == (0,)
    assert len(table.query("p")) == 4_000
    table.close()


def test_a_backup_made_by_sqlite_is_served_like_the_original(tmp_path: Path) -> None:
    """`VACUUM INTO` writes a file that is not in WAL mode; without WAL, readers and writers block each other."""
    table = SqliteTable(tmp_path / "table.sqlite")
    table.put("p", "s", b"value")
    table._connection().execute("VACUUM INTO ?", (str(tmp_path / "backup.sqlite"),))
    table.close()
    restored = SqliteTable(tmp_path / "backup.sqlite")
    assert restored.get("p", "s") == Item("p", "s", b"value", 1)
    pragmas = ["journal_mode", "auto_vacuum"]
    assert [restored._connection().execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in pragmas] == ["wal", 2]
    restored.close()


def test_every_thread_has_its_own_connection_and_close_closes_all(tmp_path: Path) -> None:
    table = SqliteTable(tmp_path / "table.sqlite")
    in_threads(4, lambda number: table.put("p", f"{number}", b""))
    assert len(table.query("p")) == 4
    table.close()
    assert not Path(f"{tmp_path / 'table.sqlite'}-wal").exists()


def test_a_query_sees_all_of_a_transaction_or_nothing(tmp_path: Path) -> None:
    """One query never sees only one of two items that are always written together; stronger than the port's promise."""
    table, other = SqliteTable(tmp_path / "table.sqlite"), SqliteTable(tmp_path / "table.sqlite")

    def work(number: int) -> int:
        if number == 0:
            for value in range(100):
                table.transact([Put("pair", "a", b"%d" % value), Put("pair", "b", b"%d" % value)])
            return 0
        seen = [[item.value for item in other.query("pair")] for _ in range(200)]
        return sum(len(set(values)) > 1 or len(values) == 1 for values in seen)

    assert sum(in_threads(3, work)) == 0
    table.close()
    other.close()


def test_a_failed_condition_leaves_no_transaction_open(tmp_path: Path) -> None:
    table = SqliteTable(tmp_path / "table.sqlite")
    table.put("p", "s", b"")
    for _ in range(3):
        with pytest.raises(ConditionFailed):
            table.transact([Put("p", "t", b""), Put("p", "s", b"", if_absent=True)])
    other = SqliteTable(tmp_path / "table.sqlite")
    other.put("p", "u", b"")
    other.close()
    table.close()


WRITES: list[Callable[[SqliteTable], object]] = [
    lambda table: table.put("p", "a", b"1"),
    lambda table: table.put("p", "a", b"1"),
    lambda table: table.put_many([Put("p", "b", b"2"), Put("q", "c", b"3")]),
    lambda table: table.transact([Put("p", "d", b"4"), Check("p", "a")]),
    lambda table: table.delete("p", "d"),
    lambda table: table.transact([Delete("p", "b")]),
]


def _write(write: Callable[[SqliteTable], object], table: SqliteTable, _number: int) -> None:
    write(table)


@pytest.mark.parametrize("writer", ["itself", "another thread", "another connection"])
def test_the_change_marker_shows_every_write(tmp_path: Path, writer: str) -> None:
    table, other = (SqliteTable(tmp_path / "table.sqlite") for _ in range(2))
    for write in WRITES:
        before = table.change_marker()
        table.query("p")
        assert table.change_marker() == before
        if writer == "another thread":
            in_threads(1, partial(_write, write, table))
        else:
            write(table if writer == "itself" else other)
        assert table.change_marker() != before
    table.close()
    other.close()


def test_threads_have_change_markers_of_their_own(tmp_path: Path) -> None:
    table = SqliteTable(tmp_path / "table.sqlite")
    markers = in_threads(2, lambda _: table.change_marker())
    assert markers[0] != markers[1]
    table.close()
