"""Embeddings of a group of rows are those of the rows, and so are the reasons for which some have none."""

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from afterglow.bulk.embedding_groups import GROUP_ROWS, encode_embeddings
from afterglow.bulk.row_values import RowError, encode_embedding
from tests.bulk.files import ImportFixture
from tests.bulk.small_files import run, stored, write_lines

COMPONENTS = st.one_of(
    st.floats(width=32, allow_nan=False), st.integers(-2, 2), st.booleans(), st.none(), st.just(1e39), st.just("1")
)
VALUES = st.one_of(
    st.lists(st.one_of(st.floats(width=32, allow_nan=False), st.integers(-1, 1)), min_size=2, max_size=2),
    st.lists(COMPONENTS, max_size=3),
    st.sampled_from([None, 5, "[0, 1]", "AACAPwAAIEA=", "!", {"default": [1, 2]}]),
)


def outcome(value: bytes | RowError) -> bytes | str:
    return str(value) if isinstance(value, RowError) else value


def alone(value: Any, dimension: int) -> bytes | str:
    try:
        return encode_embedding(value, dimension)
    except RowError as error:
        return str(error)


@given(st.lists(VALUES, max_size=6), st.sampled_from([0, 2]))
def test_a_group_is_its_rows(values: list[Any], dimension: int) -> None:
    expected = [alone(value, dimension) for value in values]
    assert list(map(outcome, encode_embeddings(values, dimension))) == expected


def test_zeros_and_ones_are_numbers() -> None:
    values = [[0, 1.0], [1, -0.0], [0.0, 2]]
    packed = b"".join(value for value in encode_embeddings(values, 2) if isinstance(value, bytes))
    assert packed == np.array(values, dtype="<f4").tobytes()


@pytest.mark.parametrize("embedding", [[True, 2], [1, 2, 3], [1, None], [1, 1e39], None, "!"])
def test_one_bad_row_of_a_group_leaves_the_others(at: ImportFixture, tmp_path: Path, embedding: Any) -> None:
    """It is rejected with its line, and nothing of it is counted as left out."""
    lines: list[Any] = [{"id": f"{n}", "embedding": [n, 1], "extra": {"a": {}}} for n in range(2 * GROUP_ROWS + 5)]
    lines[GROUP_ROWS + 3]["embedding"] = embedding
    lines[7]["id"] = ""
    report = run(at, write_lines(tmp_path / "a.jsonl", *lines))
    assert (report.state, report.rows, report.rejected) == ("done", len(lines) - 2, 2)
    assert [error["line"] for error in at.errors(report)] == [8, GROUP_ROWS + 4]
    assert report.left_out == {"extra": len(lines) - 2}
    assert stored(at)[f"{GROUP_ROWS + 4}"] == ([GROUP_ROWS + 4, 1], None, None)
