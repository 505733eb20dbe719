"""Narrow columns: the same values in fewer bytes, and only where that is worth it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.columns.builder import INT64_MAX, INT64_MIN
from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.segment import array_file, narrow_columns
from afterglow.segment.array_file import Layout
from afterglow.segment.narrow_columns import NARROW, VERSION, NarrowColumns
from tests.support.stores import quick_folder

COLUMN = np.dtype(np.int64)


class OneFile:
    """What narrow columns need of a file to be opened."""

    def __init__(self, width: int = 1, **meta: Any) -> None:
        values = {"version": VERSION, "columns": [["a", "int", 0]]} | meta
        self.layout = Layout(values, 0, {"0": ("|u1", (5, width), 0)})


def written(path: Path, columns: ColumnSet) -> NarrowColumns:
    assert narrow_columns.write(path, columns)
    file = OneFile()
    file.layout = array_file.layout(memoryview(path.read_bytes()), NARROW, NARROW)
    found = NarrowColumns.of(file)  # type: ignore[arg-type]
    assert found is not None
    return found


@given(
    base=st.integers(INT64_MIN, INT64_MAX),
    offsets=st.lists(st.sampled_from([0, 1, 254, 255, 256, 65_535, 65_536, 2**32 - 1]), min_size=1, max_size=20),
)
def test_numbers_come_back(base: int, offsets: list[int]) -> None:
    values = np.array([min(base + offset, INT64_MAX) for offset in offsets], dtype=np.int64)
    with quick_folder() as folder:
        path = folder / NARROW
        columns = written(path, ColumnSet(len(values), {"a": (Column(ColumnType.INT, None, values),)}))
        column = columns.find("a", ColumnType.INT)
        assert column is not None
        stored = array_file.map_arrays(path, NARROW)[column.array]
        assert stored.shape[1] <= 4
        np.testing.assert_array_equal(columns.values(stored, column, COLUMN), values)


def test_only_what_saves_half_is_written(tmp_path: Path) -> None:
    def column(column_type: ColumnType, values: list[Any]) -> Column:
        return Column(column_type, None, np.array(values, dtype=column_type.dtype))

    columns: dict[str, tuple[Column, ...]] = {
        "wide": (column(ColumnType.INT, [0, 2**32]),),
        "float": (column(ColumnType.FLOAT, [0, 1]),),
        "many": (column(ColumnType.STR, [0, 70_000]),),
        "bool": (column(ColumnType.BOOL, [False, True]),),
    }
    assert narrow_columns.write(tmp_path / "none", ColumnSet(2, columns)) is None
    assert not (tmp_path / "none").exists()
    columns |= {"both": (column(ColumnType.STR, [0, 65_535]), column(ColumnType.INT, [-5, 3]))}
    found = written(tmp_path / "some", ColumnSet(2, columns))
    arrays = array_file.map_arrays(tmp_path / "some", NARROW)
    for column_type, values, width in ((ColumnType.STR, [0, 65_535], 2), (ColumnType.INT, [-5, 3], 1)):
        narrow = found.find("both", column_type)
        assert narrow is not None
        assert arrays[narrow.array].shape == (2, width)
        widened = found.values(arrays[narrow.array], narrow, column_type.dtype)
        assert (widened.dtype, widened.tolist()) == (column_type.dtype, values)
    assert found.find("wide", ColumnType.INT) is None


def test_a_newer_file_is_left_alone_and_a_damaged_one_refused() -> None:
    assert NarrowColumns.of(OneFile()) is not None  # type: ignore[arg-type]
    assert NarrowColumns.of(OneFile(version=VERSION + 1)) is None  # type: ignore[arg-type]
    for file in (OneFile(3), OneFile(columns=[["a", "number", 0]]), OneFile(columns=[["a", "int"]])):
        with pytest.raises((KeyError, ValueError)):
            NarrowColumns.of(file)  # type: ignore[arg-type]
