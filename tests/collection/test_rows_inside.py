"""The rows of the chosen lists inside a filter: the same for few matches, for many, and without a filter."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterglow.collection.read.shortlist import Probed, _rows_inside


@given(st.integers(0, 2**32), st.sampled_from([None, 0.0, 0.001, 0.05, 0.5, 1.0]), st.integers(0, 30))
def test_both_ways_find_the_same_rows(seed: int, share: float | None, chosen: int) -> None:
    source = np.random.default_rng(seed)
    lengths = source.integers(0, 80, size=30)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    count = int(starts[-1])
    mask = None if share is None else source.random(count) < share
    numbers = source.permutation(30)[:chosen]

    def rows_of(lists: Any) -> Any:
        parts = [np.arange(starts[one], starts[one + 1]) for one in lists]
        return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64), lengths[lists]

    nothing = np.empty(30, dtype=np.float32)
    index = SimpleNamespace(centroids=SimpleNamespace(starts=starts, rows_of=rows_of))
    rows, own = _rows_inside(Probed(cast(Any, index), mask, nothing, nothing, numbers))
    expected = {
        (row, int(one)) for one in numbers for row in range(starts[one], starts[one + 1]) if mask is None or mask[row]
    }
    assert len(rows) == len(expected)
    assert set(zip(rows.tolist(), own.tolist(), strict=True)) == expected
