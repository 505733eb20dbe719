"""The insertion order: every row once, neighbours close to each other, for any vectors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.segment import insertion_order
from afterglow.segment.distance import Vectors


def order_of(vectors: Vectors, *, is_new: bool) -> list[int]:
    return [row for rows in insertion_order.locality_order(vectors, is_new=is_new) for row in rows.tolist()]


@settings(max_examples=10, deadline=None)
@given(
    count=st.sampled_from([0, 1, 4_095, 4_096, 6_000]),
    spread=st.sampled_from([0.0, 1.0, 1e-30, 3e38]),
    is_new=st.booleans(),
)
def test_every_row_is_inserted_once(count: int, spread: float, is_new: bool) -> None:
    vectors = (np.random.default_rng(count).uniform(-1, 1, (count, 3)) * spread).astype(np.float32)
    assert sorted(order_of(vectors, is_new=is_new)) == list(range(count))


@pytest.mark.parametrize("is_new", [False, True])
def test_consecutive_rows_are_neighbours(is_new: bool) -> None:
    source = np.random.default_rng(3)
    vectors = source.normal(size=(8_192, 8)).astype(np.float32)
    order = order_of(vectors, is_new=is_new)
    assert order[:3] == [0, 16, 32] or not is_new
    steps = np.linalg.norm(np.diff(vectors[order], axis=0), axis=1)
    assert np.median(steps) < 0.7 * np.median(np.linalg.norm(np.diff(vectors, axis=0), axis=1))
