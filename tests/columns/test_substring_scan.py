"""Scans around the bounds of chunks: small chunks find what one search per row finds."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterglow.columns import substring_scan
from afterglow.columns.string_column import StringColumn

strings = st.lists(st.text("ab", max_size=6).map(str.encode), min_size=1, max_size=30)
needles = st.text("ab", min_size=1, max_size=3).map(str.encode)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


class Literal:
    """A pattern that matches one string, and may match anywhere."""

    is_anchored = False

    def __init__(self, needle: bytes) -> None:
        self.needle = needle

    def search(self, text: memoryview, start: int, stop: int) -> int | None:
        match = re.search(re.escape(self.needle), bytes(text[start:stop]))
        return None if match is None else start + match.start()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(substring_scan, "CHUNK_BYTES", 16)


@SHARED
@given(strings, needles, st.data())
def test_chunks_do_not_show(rows: list[bytes], needle: bytes, data: st.DataObject) -> None:
    column = StringColumn.from_list(list(rows))
    candidates = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    expected = [needle in row for row in rows]
    assert column.contains(needle).tolist() == expected
    assert column.matches(Literal(needle)).tolist() == expected
    assert column.contains(needle, candidates).tolist() == (np.array(expected) & candidates).tolist()
    assert column.matches(Literal(needle), candidates).tolist() == (np.array(expected) & candidates).tolist()


@given(strings)
def test_chunks_cover_every_row_once(rows: list[bytes]) -> None:
    chunks = substring_scan._chunks(StringColumn.from_list(list(rows)).offsets.view(np.int64))
    assert (chunks[0][0], chunks[-1][1]) == (0, len(rows))
    assert all(last == first for (_, last), (first, _) in pairwise(chunks))
