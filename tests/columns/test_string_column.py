"""String columns: stored byte for byte, and searched as if row by row."""

import random
import re
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.columns import StringColumn, StringColumnBuilder
from afterglow.errors import Corrupt
from tests.columns.records import LETTERS, documents, gather_strings, string_arrays, strings_of

Documents = list[str | None]
lists_of_documents = st.lists(documents, max_size=12)


@dataclass(frozen=True)
class Backtracking:
    """Python's own engine, as a pattern."""

    pattern: str
    is_anchored: bool = True

    def search(self, text: memoryview, start: int, stop: int) -> int | None:
        found = re.search(self.pattern.encode(), bytes(text[start:stop]))
        return None if found is None else start + found.start()


def encoded(given_documents: Documents) -> list[bytes | None]:
    return [None if document is None else document.encode() for document in given_documents]


def containing(given_documents: Documents, needle: str, candidates: list[bool]) -> list[bool]:
    return [
        candidate and document is not None and needle in document
        for document, candidate in zip(given_documents, candidates, strict=True)
    ]


def mapped(strings: StringColumn) -> StringColumn:
    """Serialized and read back, over read-only memory."""
    header, arrays = string_arrays([(strings, np.arange(len(strings)))])
    return StringColumn.from_arrays(header, [np.frombuffer(array.tobytes(), dtype=array.dtype) for array in arrays])


@given(lists_of_documents, st.randoms(use_true_random=False))
def test_strings_are_stored_unchanged(given_documents: Documents, order: random.Random) -> None:
    rows = order.sample(range(len(given_documents)), order.randint(0, len(given_documents)))
    selection = np.array(rows, dtype=np.int64)
    strings = StringColumn.from_list(encoded(given_documents))
    grown = strings_of(given_documents)
    together = gather_strings((strings, selection), (grown, selection))
    for column in (strings, grown, mapped(strings)):
        assert len(column) == len(given_documents)
        assert [column.get(row) for row in range(len(column))] == encoded(given_documents)
        assert column.take(selection) == [encoded(given_documents)[row] for row in rows]
    assert [together.get(row) for row in range(len(together))] == 2 * [encoded(given_documents)[row] for row in rows]
    assert mapped(together).take(np.arange(len(together))) == together.take(np.arange(len(together)))


def test_no_rows_of_a_column_are_an_empty_column() -> None:
    assert len(gather_strings((StringColumn.from_list([b"a"]), np.empty(0, dtype=np.int64)))) == 0


@given(lists_of_documents, st.text(LETTERS, max_size=3), st.data())
def test_contains_is_a_plain_substring(given_documents: Documents, needle: str, data: st.DataObject) -> None:
    flags = st.lists(st.booleans(), min_size=len(given_documents), max_size=len(given_documents))
    candidates = data.draw(flags)
    everywhere = [True] * len(given_documents)
    for strings in (strings_of(given_documents), mapped(StringColumn.from_list(encoded(given_documents)))):
        found = strings.contains(needle.encode())
        filtered = strings.contains(needle.encode(), np.array(candidates, dtype=np.bool_))
        assert found.dtype == filtered.dtype == np.bool_
        assert found.tolist() == containing(given_documents, needle, everywhere)
        assert filtered.tolist() == containing(given_documents, needle, candidates)


def test_no_match_spans_two_strings() -> None:
    strings = StringColumn.from_list([b"ab", b"ca", None, b"b", b"\x00", b"\x00"])
    assert not strings.contains(b"bc").any()
    assert not strings.contains(b"ab\x00").any()
    assert strings.contains(b"ab").tolist() == [True, False, False, False, False, False]
    assert strings.contains(b"\x00").tolist() == [False] * 4 + [True] * 2


def test_every_string_contains_the_empty_needle() -> None:
    strings = StringColumn.from_list([b"", None, b"a"])
    assert strings.contains(b"").tolist() == [True, False, True]
    assert strings.contains(b"", np.array([False, True, True])).tolist() == [False, False, True]


@given(lists_of_documents, st.sampled_from(("a", "^a", "b$", "", "^$", "a.b", "[^a]")))
def test_matches_searches_rows_one_by_one(given_documents: Documents, pattern: str) -> None:
    strings = strings_of(given_documents)
    expected = [
        document is not None and re.search(pattern.encode(), document.encode()) is not None
        for document in given_documents
    ]
    assert strings.matches(Backtracking(pattern)).tolist() == expected


@pytest.fixture(scope="module")
def many() -> tuple[list[bytes | None], StringColumn]:
    """Some megabytes: several chunks, with words in few rows, in half of them, and in all."""
    chance = random.Random(7)
    words = [b"alpha", b"beta", b"gamma", b"delta", "é".encode()]
    rows: list[bytes | None] = []
    for row in range(20_000):
        text = b" ".join(chance.choices(words[: 1 + row % 5], k=chance.randint(0, 60)))
        if row % 997 == 0:
            text += b" rare"
        rows.append(None if row % 101 == 0 else text)
    return rows, StringColumn.from_list(rows)


@pytest.mark.slow
@pytest.mark.parametrize("needle", [b"rare", b"delta", b"alpha", b"a", b" ", "a é".encode(), b"absent", b"\xc3"])
@pytest.mark.parametrize("share", [None, 0.0005, 0.05, 0.5, 1.0])
def test_contains_over_many_chunks(
    many: tuple[list[bytes | None], StringColumn], needle: bytes, share: float | None
) -> None:
    rows, strings = many
    candidates = choose(len(rows), share)
    expected = [row is not None and needle in row for row in rows]
    found = strings.contains(needle, candidates)
    assert found.tolist() == (np.array(expected) & (True if candidates is None else candidates)).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["rare", "delta", "^alpha", "a$", "[^a-z ]"])
@pytest.mark.parametrize("anchored", [False, True])
@pytest.mark.parametrize("share", [None, 0.05, 0.5])
def test_matches_over_many_chunks(
    many: tuple[list[bytes | None], StringColumn], pattern: str, anchored: bool, share: float | None
) -> None:
    from afterglow.filters.regex import compile_regex

    rows, strings = many
    candidates = choose(len(rows), share)
    expected = [row is not None and re.search(pattern.encode(), row) is not None for row in rows]
    found = strings.matches(Backtracking(pattern) if anchored else compile_regex(pattern), candidates)
    assert found.tolist() == (np.array(expected) & (True if candidates is None else candidates)).tolist()


def choose(rows: int, share: float | None) -> NDArray[np.bool_] | None:
    if share is None:
        return None
    chance = random.Random(11)
    return np.array([chance.random() < share for _ in range(rows)])


@given(st.lists(st.lists(documents, max_size=4), max_size=4))
def test_snapshots_are_not_disturbed_by_later_appends(batches: list[Documents]) -> None:
    builder = StringColumnBuilder()
    so_far: Documents = []
    snapshots: list[tuple[StringColumn, Documents]] = []
    for batch in batches:
        builder.append(encoded(batch))
        so_far = so_far + batch
        snapshots.append((builder.snapshot(), so_far))
    assert len(builder) == len(so_far)
    for strings, expected in snapshots:
        assert strings.take(np.arange(len(strings))) == encoded(expected)


def test_strings_that_do_not_match_their_header_are_corrupt() -> None:
    header, arrays = string_arrays([(StringColumn.from_list([b"a", None]), np.arange(2))])
    with pytest.raises(Corrupt, match="version 9"):
        StringColumn.from_arrays({**header, "version": 9}, arrays)
    for number, array in enumerate(arrays):
        cut = [*arrays[:number], array[:-1], *arrays[number + 1 :]]
        with pytest.raises(Corrupt, match="another size"):
            StringColumn.from_arrays(header, cut)
    with pytest.raises(Corrupt, match="another size"):
        StringColumn.from_arrays({**header, "rows": 1}, arrays)
