"""Rows read page by page are those that SQLite returns."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterglow.bulk.chroma_directory.sqlite_pages import PageDamage, open_pages

VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=9),
    st.integers(0, 9000).map(lambda length: b"\x07" * length),
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=25), page=st.sampled_from([512, 1024, 4096, 65536]))
def test_rows(rows: list[tuple[object, ...]], page: int, tmp_path: Path) -> None:
    path = tmp_path / "table.sqlite3"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as table:
        table.execute(f"PRAGMA page_size = {page}")
        table.execute("CREATE TABLE t (a, b, c)")
        table.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        table.execute("DELETE FROM t WHERE rowid % 5 = 1")
        table.commit()
        expected = table.execute("SELECT rowid, a, b, c FROM t").fetchall()
    with path.open("rb") as file:
        damage = PageDamage()
        found = [(rowid, *values) for _, rowid, values in open_pages(path, file).rows(damage) if len(values) == 3]
    assert sorted(found, key=lambda row: row[0]) == expected
    assert (damage.damaged_pages, damage.damaged_cells) == ([], 0)


@pytest.mark.parametrize("byte", [0x00, 0xFF, 0x0D, 0x05])
def test_work_is_bounded(byte: int, tmp_path: Path) -> None:
    """Pages full of cells that all claim the whole file, or chains that never end."""
    path = tmp_path / "table.sqlite3"
    page = bytes([0x0D, 0, 0, 0x03, 0xFF, 0, 0, 0]) + bytes([0x08, 0x10]) * 1024
    page += b"\x84\x80\x00\x01" * ((4096 - len(page)) // 4)
    path.write_bytes((b"SQLite format 3\x00\x10\x00" + bytes([byte]) * 4078) + page * 60)
    with path.open("rb") as file:
        assert len(list(open_pages(path, file).rows(PageDamage()))) < 60 * 1024
