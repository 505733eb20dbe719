"""The covering index: where the rows of a mask are, which keys are worth it, and what its file says."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.columns.builder import ColumnSetBuilder
from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.segment import covering_index, covering_writer
from afterglow.segment.array_file import Layout
from afterglow.segment.breadth import Breadth
from afterglow.segment.covering_index import VERSION, CoveringIndex

VALUES = {
    ColumnType.INT: st.integers(-3, 3),
    ColumnType.FLOAT: st.sampled_from([-math.inf, -1.5, -0.0, 0.0, 0.25, 7.0, math.inf, math.nan]),
    ColumnType.STR: st.integers(0, 5),
}


@st.composite
def columns_and_masks(draw: st.DrawFn) -> tuple[Column, NDArray[np.bool_]]:
    column_type = draw(st.sampled_from(sorted(VALUES)))
    rows = draw(st.integers(1, 40))
    has_value = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    has_value[draw(st.integers(0, rows - 1))] = True
    count = int(has_value.sum())
    values = np.array(draw(st.lists(VALUES[column_type], min_size=count, max_size=count)), dtype=column_type.dtype)
    mask = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    mask[draw(st.integers(0, rows - 1))] = True
    row_ids = None if count == rows else np.flatnonzero(has_value).astype(np.uint32)
    return Column(column_type, row_ids, values), mask


@given(columns_and_masks(), st.integers(1, 60))
def test_the_ranges_hold_every_matching_row_or_there_are_none(
    drawn: tuple[Column, NDArray[np.bool_]], most: int
) -> None:
    column, mask = drawn
    own = np.arange(len(mask)) if column.row_ids is None else column.row_ids.astype(np.int64)
    ordered = own[np.argsort(column.values, kind="stable")]
    matching = set(np.flatnonzero(mask).tolist())
    ranges = covering_index._ranges(column, mask, most)
    if ranges is None:
        found = column.values[mask[own]]
        is_comparable = matching <= set(own.tolist()) and not np.isnan(found.astype(np.float64)).any()
        assert not is_comparable or sum(np.isin(column.values, found)) > most
        return
    assert sum(stop - start for start, stop in ranges) <= most
    assert all(start < stop for start, stop in ranges)
    assert all(stop <= start for (_, stop), (start, _) in pairwise(ranges))
    assert matching <= {int(row) for start, stop in ranges for row in ordered[start:stop]}


def test_values_far_apart_are_ranges_of_their_own() -> None:
    values = np.repeat(np.arange(100), 10)
    column = Column(ColumnType.INT, None, values)
    assert covering_index._ranges(column, np.isin(values, [3, 90]), 100) == [(30, 40), (900, 910)]
    assert covering_index._ranges(column, np.isin(values, [3, 4]), 100) == [(30, 50)]
    assert covering_index._ranges(column, values % 5 == 0, 200) is None


def column_set(**values: list[Any]) -> ColumnSet:
    builder = ColumnSetBuilder()
    rows = zip(*values.values(), strict=True)
    builder.append([{key: one for key, one in zip(values, row, strict=True) if one is not None} for row in rows])
    return builder.snapshot()


def test_the_keys_with_the_fewest_values_are_chosen_as_far_as_the_bytes_suffice() -> None:
    rows = 1_000
    columns = column_set(
        time=[float(row) for row in range(rows)],
        tenant=[f"tenant {row % 50}" for row in range(rows)],
        number=[row % 20 for row in range(rows)],
        fifth=[row % 5 for row in range(rows)],
        is_new=[row % 2 == 0 for row in range(rows)],
        rare=[row if row < 10 else None for row in range(rows)],
    )

    def chosen(share: float) -> list[str]:
        return [one.key for one in covering_writer.choose(columns, 100, int(4 * share * rows * 100))]

    assert chosen(10) == ["number", "tenant", "time"]
    assert chosen(2.5) == ["number", "tenant"]
    assert chosen(0.5) == ["number"]


class OneFile:
    """What a covering index needs of a file to be opened."""

    def __init__(self, size: int, **meta: Any) -> None:
        depth = Breadth(0.98, (10, 100), (30.0, 200.0)).to_json()
        values = {"version": VERSION, "width": 64, "columns": [["a", "int"]], "depth": depth} | meta
        self.layout = Layout(values, 0, {"0": ("|u1", (5, size), 0)})


def test_a_newer_file_is_left_alone_and_a_damaged_one_refused() -> None:
    size = covering_index.entry_bytes(64)
    found = CoveringIndex.of(OneFile(size))  # type: ignore[arg-type]
    assert found is not None
    assert found.depth.at(10) == 30
    assert CoveringIndex.of(OneFile(size, version=VERSION + 1)) is None  # type: ignore[arg-type]
    for file in (OneFile(size + 8), OneFile(size, columns=[["a", "number"]]), OneFile(size, depth={})):
        with pytest.raises((KeyError, ValueError)):
            CoveringIndex.of(file)  # type: ignore[arg-type]
