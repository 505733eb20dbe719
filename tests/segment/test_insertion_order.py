"""The way through vectors: every row once, neighbours close to each other, whatever the vectors are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.segment import insertion_order
from afterglow.segment.distance import Vectors


def ways(vectors: Vectors, *, is_new: bool) -> list[int]:
    return [row for stretch in insertion_order.locality_order(vectors, is_new=is_new) for row in stretch.tolist()]


@settings(max_examples=10, deadline=None)
@given(
    count=st.sampled_from([0, 1, 4_095, 4_096, 6_000]),
    spread=st.sampled_from([0.0, 1.0, 1e-30, 3e38]),
    is_new=st.booleans(),
)
def test_every_row_is_on_the_way_once(count: int, spread: float, is_new: bool) -> None:
    vectors = (np.random.default_rng(count).uniform(-1, 1, (count, 3)) * spread).astype(np.float32)
    assert sorted(ways(vectors, is_new=is_new)) == list(range(count))


@pytest.mark.parametrize("is_new", [False, True])
def test_the_way_leads_from_neighbour_to_neighbour(is_new: bool) -> None:
    source = np.random.default_rng(3)
    vectors = source.normal(size=(8_192, 8)).astype(np.float32)
    way = ways(vectors, is_new=is_new)
    assert way[:3] == [0, 16, 32] or not is_new
    steps = np.linalg.norm(np.diff(vectors[way], axis=0), axis=1)
    assert np.median(steps) < 0.7 * np.median(np.linalg.norm(np.diff(vectors, axis=0), axis=1))
