"""The insertion order: every row once, neighbours close to each other, for any vectors."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.segment import insertion_order
from afterglow.segment.distance import Vectors


def order_of(vectors: Vectors) -> list[int]:
    return [row for rows in insertion_order.locality_order(vectors) for row in rows.tolist()]


@settings(max_examples=10, deadline=None)
@given(count=st.sampled_from([0, 1, 4_095, 4_096, 6_000]), spread=st.sampled_from([0.0, 1.0, 1e-30, 3e38]))
def test_every_row_is_inserted_once(count: int, spread: float) -> None:
    vectors = (np.random.default_rng(count).uniform(-1, 1, (count, 3)) * spread).astype(np.float32)
    assert sorted(order_of(vectors)) == list(range(count))


def test_consecutive_rows_are_neighbours() -> None:
    vectors = np.random.default_rng(3).normal(size=(8_192, 8)).astype(np.float32)
    steps = np.linalg.norm(np.diff(vectors[order_of(vectors)], axis=0), axis=1)
    assert np.median(steps) < 0.7 * np.median(np.linalg.norm(np.diff(vectors, axis=0), axis=1))


def test_every_tour_is_a_sample_of_all() -> None:
    """Clusters that were written one after the other all have rows on each tour."""
    clusters = np.repeat(np.arange(64), 128)
    vectors = np.random.default_rng(4).normal(size=(64, 8))[clusters].astype(np.float32)
    tours = list(insertion_order.locality_order(vectors))
    assert len(tours) == 8
    assert all(set(clusters[tour].tolist()) == set(range(64)) for tour in tours)


def test_neighbours_by_number_are_on_different_tours() -> None:
    """Copies of a row are often written together: no tour is of them alone."""
    vectors = np.random.default_rng(5).normal(size=(8_192, 4)).astype(np.float32)
    tours = np.empty(len(vectors), np.int64)
    for number, rows in enumerate(insertion_order.locality_order(vectors)):
        tours[rows] = number
    assert (np.diff(tours) != 0).all()
