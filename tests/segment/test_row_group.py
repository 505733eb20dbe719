"""Subsets of row groups in insertion order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterglow.segment.row_group import RowSubset, insertion_order
from tests.segment.row_groups import every_row, memory_row_group, random_rows


@given(st.permutations(range(7)), st.sets(st.integers(0, 3)), st.sets(st.integers(0, 2)))
def test_rows_are_sorted_by_their_sequence_numbers(row_seqs: list[int], first: set[int], second: set[int]) -> None:
    groups = [
        memory_row_group(random_rows(len(numbers)), np.array(numbers, dtype=np.int64))
        for numbers in (row_seqs[:4], row_seqs[4:])
    ]
    subsets = [
        RowSubset(group, np.array(sorted(rows), dtype=np.int64))
        for group, rows in zip(groups, (first, second), strict=True)
    ]
    concatenated = np.concatenate([subset.row_group.row_seqs[subset.rows] for subset in subsets])
    assert concatenated[insertion_order(subsets)].tolist() == sorted(concatenated.tolist())


def test_a_row_group_counts_its_rows() -> None:
    group = memory_row_group(random_rows(5))
    assert group.rows == 5
    assert insertion_order([every_row(group)]).tolist() == list(range(5))
    assert insertion_order([]).tolist() == []
