"""The k best of each group, against a sort of each group on its own."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterglow.ranking.top_k_per_group import top_k_per_group

rows = st.lists(st.tuples(st.integers(0, 2), st.integers(-2, 2), st.integers(-3, 3), st.integers(-1, 1)), max_size=30)


@given(rows, st.integers(1, 5), st.booleans())
def test_the_best_of_all_groups_are_returned_in_order(
    records: list[tuple[int, int, int, int]], k: int, largest: bool
) -> None:
    columns = [np.array([record[number] for record in records], dtype=np.int64) for number in range(4)]
    best = top_k_per_group(columns[:2], columns[2:], k, largest=largest)
    members: dict[tuple[int, int], list[int]] = {}
    for position, record in enumerate(records):
        members.setdefault(record[:2], []).append(position)
    expected = {
        position
        for group in members.values()
        for position in sorted(group, key=lambda position: records[position][2:], reverse=largest)[:k]
    }
    assert best.tolist() == sorted(expected)


@given(rows)
def test_a_large_k_returns_every_record(records: list[tuple[int, int, int, int]]) -> None:
    groups = [np.array([record[0] for record in records], dtype=np.int64)]
    assert top_k_per_group(groups, groups, len(records) + 1, largest=False).tolist() == list(range(len(records)))


def test_ties_are_broken_by_position() -> None:
    group = np.zeros(6, dtype=np.int64)
    assert top_k_per_group([group], [group], 2, largest=False).tolist() == [0, 1]
    assert top_k_per_group([group], [group], 2, largest=True).tolist() == [0, 1]
