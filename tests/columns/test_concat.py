"""Concatenation: the rows of several row groups under one permutation."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterglow.columns import ColumnType, concat, take
from afterglow.columns.dictionary import SortedDictionary
from tests.columns.records import canonical, columns_of, metadatas, metadatas_of, without_empty_values

groups = st.lists(st.lists(metadatas, max_size=4), min_size=1, max_size=3)


@given(groups, st.data())
def test_the_order_permutes_the_concatenation(rows_of: list[list[dict[str, Any] | None]], data: st.DataObject) -> None:
    rows = [row for group in rows_of for row in group]
    order = data.draw(st.permutations(range(len(rows))))
    subsets = [(columns_of(group), np.arange(len(group))) for group in rows_of]
    merged = concat(subsets, np.array(order, dtype=np.int64))
    assert canonical(metadatas_of(merged)) == canonical(without_empty_values([rows[row] for row in order]))


def test_the_result_is_immutable_and_independent() -> None:
    columns = columns_of([{"k": "b"}, {"k": "a"}])
    merged = concat([(columns, np.array([1, 0]))])
    column = merged.column("k", ColumnType.STR)
    assert column is not None
    assert isinstance(column.dictionary, SortedDictionary)
    assert not np.shares_memory(column.values, columns.columns["k"][0].values)


def test_columns_without_entries_are_left_out() -> None:
    assert take(columns_of([{"a": 1}, {"b": 1}]), np.array([1])).columns.keys() == {"b"}
