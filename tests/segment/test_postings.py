"""Inverted lists: what a lane says, dimension by dimension, whether made beforehand or picked out."""

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
Shown = list[dict[int, float] | None]


def lane_of(given_values: list[Any]) -> Column | None:
    return columns_of([{"k": each} for each in given_values]).column("k", ColumnType.SPARSE)


def shown(lists: list[PostingList | None]) -> Shown:
    found: Shown = []
    for each in lists:
        if each is None:
            found.append(None)
            continue
        listed = dict(zip(each.rows.tolist(), each.values.tolist(), strict=True))
        assert list(listed) == sorted(listed)
        assert (each.max_value, each.min_value) == (max(listed.values()), min(listed.values()))
        found.append(listed)
    return found


def expected(given_values: list[Any], wanted: list[int]) -> Shown:
    found: Shown = []
    for dimension in wanted:
        listed = {
            row: value["values"][value["indices"].index(dimension)]
            for row, value in enumerate(given_values)
            if isinstance(value, dict) and dimension in value["indices"]
        }
        found.append(listed or None)
    return found


@given(rows_of_values, st.sets(st.sampled_from(DIMENSIONS)), st.booleans())
def test_lists_hold_what_the_lane_holds(given_values: list[Any], some: set[int], many: bool) -> None:
    lane = lane_of(given_values)
    if lane is None:
        return
    wanted = sorted(some | set(range(5, 105)) if many else some)
    dimensions = np.array(wanted, dtype=np.uint32)
    assert shown(postings.scan_lists(lane, dimensions)) == expected(given_values, wanted)
    assert shown(postings.invert(lane).lists(dimensions)) == expected(given_values, wanted)


@given(rows_of_values, rows_of_values)
def test_a_file_holds_the_lists_of_every_key(one: list[Any], other: list[Any]) -> None:
    count = min(len(one), len(other))
    columns = columns_of([{"k": one[row], "j": other[row]} for row in range(count)])
    packed = postings.serialize(columns)
    lanes = postings.sparse_columns(columns)
    assert (packed is None) == (not lanes)
    if packed is not None:
        read = postings.deserialize("name", *packed)
        assert read.keys() == lanes.keys()
        wanted = np.array(DIMENSIONS, dtype=np.uint32)
        for key, given_values in (("k", one), ("j", other)):
            if key in read:
                assert shown(read[key].lists(wanted)) == expected(given_values[:count], list(DIMENSIONS))


def test_lists_of_other_sizes_are_corrupt() -> None:
    packed = postings.serialize(columns_of([{"k": sparse_vector([1, 2], [0.5, 1.5])}]))
    assert packed is not None
    meta, arrays = packed
    with pytest.raises(Corrupt, match="name has format version 2"):
        postings.deserialize("name", {**meta, "version": 2}, arrays)
    for name, array in arrays.items():
        with pytest.raises(Corrupt, match="name holds lists of other sizes"):
            postings.deserialize("name", meta, {**arrays, name: array[:-1]})


def test_only_sparse_vectors_have_dimensions() -> None:
    lane = columns_of([{"k": 1}]).column("k", ColumnType.INT)
    assert lane is not None
    with pytest.raises(AssertionError, match="a column of int has no dimensions"):
        postings.invert(lane)
    with pytest.raises(AssertionError, match="a column of int has no dimensions"):
        postings.scan_lists(lane, np.empty(0, dtype=np.uint32))
