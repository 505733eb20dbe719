"""Inverted lists: a column dimension by dimension, inverted beforehand or scanned."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.columns import Column, ColumnType
from afterglow.errors import Corrupt
from afterglow.segment import postings
from afterglow.segment.postings import PostingList
from tests.columns.records import DIMENSIONS, columns_of, sparse_vector, sparse_vectors

values = st.none() | st.just(1) | sparse_vectors
rows_of_values = st.lists(values, max_size=12)
PlainLists = list[dict[int, float] | None]


def column_of(given_values: list[Any]) -> Column | None:
    return columns_of([{"k": item} for item in given_values]).column("k", ColumnType.SPARSE)


def to_plain(lists: list[PostingList | None]) -> PlainLists:
    result: PlainLists = []
    for item in lists:
        if item is None:
            result.append(None)
            continue
        listed = dict(zip(item.rows.tolist(), item.values.tolist(), strict=True))
        assert list(listed) == sorted(listed)
        assert (item.max_value, item.min_value) == (max(listed.values()), min(listed.values()))
        result.append(listed)
    return result


def expected(given_values: list[Any], requested: list[int]) -> PlainLists:
    result: PlainLists = []
    for dimension in requested:
        listed = {
            row: value["values"][value["indices"].index(dimension)]
            for row, value in enumerate(given_values)
            if isinstance(value, dict) and dimension in value["indices"]
        }
        result.append(listed or None)
    return result


@given(rows_of_values, st.sets(st.sampled_from(DIMENSIONS)), st.booleans())
def test_lists_hold_the_components_of_a_column(given_values: list[Any], drawn: set[int], many: bool) -> None:
    column = column_of(given_values)
    if column is None:
        return
    requested = sorted(drawn | set(range(5, 105)) if many else drawn)
    dimensions = np.array(requested, dtype=np.uint32)
    assert to_plain(postings.scan_lists(column, dimensions)) == expected(given_values, requested)
    assert to_plain(postings.invert(column).lists(dimensions)) == expected(given_values, requested)


@pytest.mark.slow
@given(rows_of_values, rows_of_values)
def test_a_file_holds_the_lists_of_every_key(one: list[Any], other: list[Any]) -> None:
    count = min(len(one), len(other))
    columns = columns_of([{"k": one[row], "j": other[row]} for row in range(count)])
    serialized = postings.serialize(columns)
    columns_by_key = postings.sparse_columns(columns)
    assert (serialized is None) == (not columns_by_key)
    if serialized is not None:
        read = postings.deserialize("name", *serialized)
        assert read.keys() == columns_by_key.keys()
        requested = np.array(DIMENSIONS, dtype=np.uint32)
        for key, given_values in (("k", one), ("j", other)):
            if key in read:
                assert to_plain(read[key].lists(requested)) == expected(given_values[:count], list(DIMENSIONS))


def test_lists_of_other_sizes_are_corrupt() -> None:
    serialized = postings.serialize(columns_of([{"k": sparse_vector([1, 2], [0.5, 1.5])}]))
    assert serialized is not None
    meta, arrays = serialized
    with pytest.raises(Corrupt, match="name has format version 2"):
        postings.deserialize("name", {**meta, "version": 2}, arrays)
    for name, array in arrays.items():
        with pytest.raises(Corrupt, match="name holds lists of other sizes"):
            postings.deserialize("name", meta, {**arrays, name: array[:-1]})


def test_only_sparse_vectors_have_dimensions() -> None:
    column = columns_of([{"k": 1}]).column("k", ColumnType.INT)
    assert column is not None
    with pytest.raises(AssertionError, match="a column of int has no dimensions"):
        postings.invert(column)
    with pytest.raises(AssertionError, match="a column of int has no dimensions"):
        postings.scan_lists(column, np.empty(0, dtype=np.uint32))
