"""Damage in the table's file: a read never returns changed data, and `problems` finds what is not harmless."""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from afterglow.errors import AfterglowError, Corrupt, UnsupportedFormat
from afterglow.storage.local.table import FORMAT, SqliteTable
from afterglow.storage.ports import Item, Put

ITEMS = [("A", f"{number:03}", bytes([number]) * (number * 7 % 300)) for number in range(120)]


@pytest.fixture
def path(folder: Path) -> Path:
    """A closed table with items of several versions."""
    path = folder / "table.sqlite"
    table = SqliteTable(path)
    for pk, sk, value in ITEMS:
        table.put(pk, sk, value, if_absent=True)
    table.put("A", "003", b"second", if_version=1, expires_at=77)
    table.put("A", "004", b"second")
    table.put("A", "004", b"third")
    table.transact([Put("B", "x", b"y"), Put("A", "005", b"z", if_version=1)])
    table.put_many([Put("B", "v", b"w", expires_at=5)])
    table.close()
    return path


def content(table: SqliteTable) -> list[Item]:
    return [*table.query("A"), *table.query("B")]


def test_every_way_to_write_stores_a_checksum(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM items WHERE checksum IS NULL").fetchone() == (0,)
    connection.close()
    table = SqliteTable(path)
    assert table.problems() == []
    assert [(item.version, item.value, item.expires_at) for item in table.query("A", after="002", before="006")] == [
        (2, b"second", 77),
        (3, b"third", None),
        (2, b"z", None),
    ]
    table.close()


@pytest.mark.parametrize(
    "change",
    [
        "value = x'00'",
        "version = version + 1",
        "expires_at = 9",
        "value = CAST(value AS TEXT)",
        "sk = sk || 'x'",
        "checksum = checksum + 1",
    ],
)
def test_a_changed_item_is_never_returned(path: Path, change: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE items SET {change} WHERE pk = 'A' AND sk = '007'")
    connection.commit()
    connection.close()
    table = SqliteTable(path)
    with pytest.raises(Corrupt, match="does not match its checksum"):
        table.query("A")
    assert table.get("A", "008") is not None
    if not change.startswith("sk"):
        with pytest.raises(Corrupt, match="A 007"):
            table.get("A", "007")
        with pytest.raises(Corrupt, match="A 007"):
            table.put("A", "007", b"", if_absent=True)
    (problem,) = table.problems()
    assert "'A' '007" in problem
    table.close()


def test_flipped_bits(path: Path, tmp_path: Path) -> None:
    """Each is found, or changes nothing that can be read."""
    clean = SqliteTable(path)
    expected = content(clean)
    clean.close()
    original = path.read_bytes()
    rng = random.Random(7)
    found = harmless = 0
    for number in range(150):
        position, bit = rng.randrange(len(original)), rng.randrange(8)
        damaged = bytearray(original)
        damaged[position] ^= 1 << bit
        copy = tmp_path / f"{number}.sqlite"
        copy.write_bytes(bytes(damaged))
        table = None
        try:
            table = SqliteTable(copy, read_only=True)
            if table.problems():
                found += 1
                continue
            assert content(table) == expected, f"byte {position}, bit {bit}: nobody saw it"
            harmless += 1
        except AfterglowError:
            found += 1
        finally:
            if table is not None:
                table.close()
            copy.unlink()
    assert found > 20
    assert harmless > 20


def table_of_format_2(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
        "CREATE TABLE items (pk TEXT NOT NULL, sk TEXT NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL,"
        " expires_at INTEGER, PRIMARY KEY (pk, sk)) WITHOUT ROWID;"
        "INSERT INTO items VALUES ('A', 'a', x'01', 4, NULL), ('A', 'b', x'02', 1, 9);"
        "PRAGMA user_version = 2;"
    )
    connection.close()


def test_a_table_without_checksums_is_converted(folder: Path) -> None:
    path = folder / "table.sqlite"
    table_of_format_2(path)
    expected = [Item("A", "a", b"\1", 4), Item("A", "b", b"\2", 1, 9)]
    reader = SqliteTable(path, read_only=True)
    assert reader.query("A") == expected
    assert reader.problems() == []
    reader.close()
    for _ in range(2):
        table = SqliteTable(path)
        assert table.query("A") == expected
        assert table.problems() == []
        table.close()
    table = SqliteTable(path)
    assert table.put("A", "a", b"new", if_version=4) == 5
    table.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    assert connection.execute("SELECT count(*) FROM items WHERE checksum IS NULL").fetchone() == (1,)
    connection.close()


@pytest.mark.parametrize("version", [1, 9])
def test_other_formats_are_refused(folder: Path, version: int) -> None:
    path = folder / "table.sqlite"
    table_of_format_2(path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(UnsupportedFormat):
            SqliteTable(path, read_only=read_only)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


def test_reading_only_changes_nothing(path: Path, folder: Path) -> None:
    before = files(folder)
    table = SqliteTable(path, read_only=True)
    assert len(content(table)) == len(ITEMS) + 2
    with pytest.raises(AfterglowError):
        table.put("A", "a", b"")
    table.close()
    assert files(folder) == before
    assert sorted(path.name for path in folder.iterdir()) == ["table.sqlite"]


@pytest.mark.parametrize("copied", [("-wal", "-shm"), ("-wal",)])
def test_a_copy_with_its_write_ahead_log_is_read_completely(
    path: Path, tmp_path: Path, copied: tuple[str, ...]
) -> None:
    table = SqliteTable(path)
    table.put("A", "last", b"in the log")
    target = tmp_path / path.name
    shutil.copyfile(path, target)
    for suffix in copied:
        shutil.copyfile(f"{path}{suffix}", f"{target}{suffix}")
    table.close()
    before = files(tmp_path)
    for _ in range(2):
        reader = SqliteTable(target, read_only=True)
        item = reader.get("A", "last")
        assert item is not None
        assert item.value == b"in the log"
        reader.close()
        assert files(tmp_path) == before


def test_reading_next_to_a_writer(path: Path) -> None:
    table = SqliteTable(path)
    table.put("A", "new", b"1")
    reader = SqliteTable(path, read_only=True)
    table.put("A", "newer", b"2")
    assert reader.get("A", "newer") is not None
    reader.close()
    table.close()
