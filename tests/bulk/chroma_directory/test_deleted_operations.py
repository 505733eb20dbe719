"""Deleted operations of any length are found, with the pages on which they continue."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from afterglow.bulk.chroma_directory.deleted_operations import DeletedOperation, find
from afterglow.bulk.chroma_directory.sqlite_pages import open_pages

COLLECTION = "1b3e3db9-e7e2-419a-a020-438a9a29aaf9"
COLUMNS = (
    "seq_id INTEGER PRIMARY KEY, created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, operation INTEGER NOT NULL, "
    "topic TEXT NOT NULL, id TEXT NOT NULL, vector BLOB, encoding TEXT, metadata TEXT"
)


def vector(number: int, dimension: int) -> bytes:
    return np.random.default_rng(number).random(dimension, np.float32).tobytes()


def operations(path: Path, numbers: Iterable[int], dimension: int, *statements: str) -> list[DeletedOperation]:
    """What is found after these statements on a queue of operations with these numbers."""
    with closing(sqlite3.connect(path)) as table:
        table.execute("PRAGMA secure_delete = OFF")
        table.execute(f"CREATE TABLE embeddings_queue ({COLUMNS})")
        table.executemany(
            "INSERT INTO embeddings_queue (seq_id, operation, topic, id, vector, encoding, metadata) "
            f"VALUES (?, 2, 'persistent://default/default/{COLLECTION}', ?, ?, 'FLOAT32', ?)",
            ((number, f"id-{number}", vector(number, dimension), '{"n": 1}') for number in numbers),
        )
        table.commit()
        for statement in statements:
            table.execute(statement)
            table.commit()
    with path.open("rb") as file:
        return list(find(open_pages(path, file), is_damaged=False))


@pytest.mark.parametrize("dimension", [1, 384, 1024, 3000])
def test_all(dimension: int, tmp_path: Path) -> None:
    numbers = [1, 2, 127, 128, 20_000, 3_000_000, 2**40]
    found = operations(tmp_path / "table.sqlite3", numbers, dimension, "DELETE FROM embeddings_queue")
    whole = {item.seq: item for item in found if item.seq is not None}
    assert len(whole) >= len(numbers) - 1  # the first page of the free list has the list where it had rows
    for seq, item in whole.items():
        assert (item.collection, item.id, item.kind, item.metadata) == (COLLECTION, f"id-{seq}", 2, '{"n": 1}')
        assert (item.vector, item.dimension) == (vector(seq, dimension), dimension)


def test_pages_that_other_rows_use_are_not_taken(tmp_path: Path) -> None:
    """No vector is made of two: a row whose further pages were used again is not found."""
    lengths = (4000, 8000, 2000, 9000, 30_000)
    statements = [
        "DELETE FROM embeddings_queue WHERE seq_id < 30",
        "DELETE FROM embeddings_queue",
        "CREATE TABLE other (content)",
        *(f"INSERT INTO other VALUES (zeroblob({length}))" for length in lengths),
        "DELETE FROM other WHERE rowid = 2",
    ]
    found = operations(tmp_path / "table.sqlite3", range(60), 3000, *statements)
    assert 10 < len({item.id for item in found}) < 60
    assert all(item.vector == vector(int(item.id[3:]), 3000) for item in found)
