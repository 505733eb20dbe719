"""The reduction of a graph's vectors: found where they vary in few directions, used where it loses no neighbours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.segment import distance, reduction
from afterglow.segment.breadth import Sample
from afterglow.segment.distance import Space
from afterglow.segment.reduction import Reduction
from tests.segment.flat_vectors import DIMENSION, ROWS, SPACES, flat


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), space=st.sampled_from(SPACES), rank=st.sampled_from([1, 40, 90]))
def test_coordinates_preserve_the_distances_of_rows_in_few_directions(seed: int, space: Space, rank: int) -> None:
    vectors = flat(seed, rank, noise=0.0)
    found = reduction.fit(space, vectors)
    assert found is not None
    assert found.width == 96
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(96), atol=1e-5)
    rows, queries = vectors[:50], vectors[50:60]
    near = distance.pairwise_sort_keys(Space.L2, found.coordinates(space, 3 * queries), found.coordinates(space, rows))
    exact = distance.pairwise_sort_keys(space, 3 * queries, rows)
    factor = 2 if space is Space.COSINE else 1
    # What is constant in the distances of a query to all rows changes no order.
    np.testing.assert_allclose(near - near[:, :1], factor * (exact - exact[:, :1]), atol=2e-3 * exact.max())


@pytest.mark.parametrize("space", SPACES)
def test_no_reduction_of_what_varies_in_all_directions_or_is_too_small(space: Space) -> None:
    rng = np.random.default_rng(1)
    assert reduction.fit(space, rng.normal(size=(ROWS, DIMENSION)).astype(np.float32)) is None
    assert reduction.fit(space, flat(2, 10, rows=16 * DIMENSION - 1)) is None, "few rows"
    assert reduction.fit(space, flat(2, 10, rows=16 * DIMENSION)) is not None
    assert reduction.fit(space, flat(3, 10, dimension=128)) is None, "few dimensions"
    assert reduction.fit(space, flat(3, 10, rows=100_000, dimension=1_540)[:, :1_537]) is None, "many dimensions"


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("factor", [0.0, 1e25])
def test_no_reduction_of_zeros_or_of_squares_that_overflow(space: Space, factor: float) -> None:
    vectors = flat(4, 10) * np.float32(factor)
    if space is Space.COSINE and factor:
        assert reduction.fit(space, vectors) is not None, "at length 1 nothing overflows"
    else:
        assert reduction.fit(space, vectors) is None


def test_no_reduction_for_inner_products() -> None:
    assert reduction.fit(Space.IP, flat(4, 10)) is None


def sample(neighbors: list[list[int]]) -> Sample:
    found = np.array(neighbors)
    return Sample(np.arange(len(found)), found, np.zeros(found.shape, np.float32))


def test_a_reduction_suffices_if_the_candidates_hold_the_neighbours() -> None:
    exact = sample([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert reduction.is_sufficient(exact, exact, {2: 2})
    shifted = sample([[9, 2, 1, 4], [5, 9, 6, 8]])
    assert reduction.is_sufficient(exact, shifted, {2: 3})
    assert not reduction.is_sufficient(exact, shifted, {2: 2})
    assert not reduction.is_sufficient(exact, shifted, {2: 3, 4: 4})
    assert not reduction.is_sufficient(exact, None, {2: 3})
    assert not reduction.is_sufficient(None, exact, {2: 3})


def test_reductions_are_compared_by_identity() -> None:
    basis = np.eye(4, 2, dtype=np.float32)
    assert Reduction(basis) != Reduction(basis)
