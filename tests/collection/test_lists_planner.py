"""Which lists of several segments are probed: each segment's share of the neighbours, from its own nearest list on."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from afterglow.collection.read import lists_planner


def searches(*keys: list[float], rows: int = 5) -> Any:
    """The searches of segments whose lists have so many rows, and these distances to the query."""
    return [
        SimpleNamespace(
            keys=np.array(of_segment, dtype=np.float64),
            list_rows=np.full(len(of_segment), rows),
            group=SimpleNamespace(rows=SimpleNamespace(rows=rows * len(of_segment))),
        )
        for of_segment in keys
    ]


def test_a_segment_has_its_part_of_all_rows_or_of_those_near_the_query() -> None:
    lists = lists_planner._LISTS_OF_PARTS
    near, far = [float(number) for number in range(lists)], [float(number) for number in range(1_000, 1_000 + lists)]
    assert lists_planner._counts(searches(near), 10) == [10]
    assert lists_planner._counts(searches(near, far), 10) == [10, 5]
    assert lists_planner._counts(searches(near, near), 10) == [5, 5]
    assert lists_planner._counts(searches(far, near, far, far), 2) == [1, 2, 1, 1]


def test_the_cut_off_counts_from_the_nearest_list_of_the_segment() -> None:
    chosen = lists_planner._choose(searches([0, 1, 5], [10, 11, 15]), 6, [2.0, 2.0])
    assert [numbers.tolist() for numbers in chosen] == [[0, 1], [0, 1]]
    chosen = lists_planner._choose(searches([0, 1, 5], [10, 11, 15]), 3, [20.0, 20.0])
    assert [numbers.tolist() for numbers in chosen] == [[0, 1, 2], []]
    chosen = lists_planner._choose(searches([np.inf, 1], [2, np.inf]), 4, [np.inf, np.inf])
    assert [numbers.tolist() for numbers in chosen] == [[1], [0]]
