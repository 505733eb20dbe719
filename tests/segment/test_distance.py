"""Distances by definition, and the exact scan against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.segment import distance, exact_knn
from afterglow.segment.distance import Space
from tests.segment.row_groups import Row, memory_row_group
from tests.support.distances import reference_distance, reference_distances

coordinates = st.floats(-1e3, 1e3, width=32).map(lambda value: 0.0 if abs(value) < 1e-12 else value)
pairs = st.tuples(coordinates, coordinates)
every_space = pytest.mark.parametrize("space", Space)


def test_the_figures_of_the_contract() -> None:
    vectors = np.array([[1, 2], [3, 4], [0, 0], [-1, -2]], dtype=np.float32)
    query = np.array([1, 1], dtype=np.float32)
    expected_distances = {
        Space.L2: [1, 13, 2, 13],
        Space.IP: [-2, -6, 1, 4],
        Space.COSINE: [0.051316738, 0.010050476, 1.0, 1.9486833],
    }
    norms = distance.squared_norms(vectors)
    for space, reference in expected_distances.items():
        expected = np.array(reference)
        np.testing.assert_allclose(distance.exact_distances(space, vectors, query), expected, rtol=1e-5)
        np.testing.assert_allclose(
            distance.fast_distances(space, vectors, norms, query), expected, rtol=1e-4, atol=1e-6
        )


@every_space
@given(st.lists(pairs, min_size=1, max_size=10), pairs)
def test_exact_distances_are_those_of_float64(
    space: Space, vectors: list[tuple[float, float]], query: tuple[float, float]
) -> None:
    query_vector = np.array(query, dtype=np.float32)
    result = distance.exact_distances(space, np.array(vectors, dtype=np.float32), query_vector)
    assert result.dtype == np.float32
    reference = reference_distances(space, query_vector, vectors)
    np.testing.assert_allclose(result, reference, rtol=1e-6, atol=1e-6)


@every_space
def test_zero_vectors_have_distances(space: Space) -> None:
    vectors = np.zeros((3, 4), dtype=np.float32)
    for query in (np.zeros(4, np.float32), np.ones(4, np.float32)):
        for result in (
            distance.exact_distances(space, vectors, query),
            distance.fast_distances(space, vectors, distance.squared_norms(vectors), query),
        ):
            reference = 1.0 if space is not Space.L2 else float(query @ query)
            assert result.tolist() == [reference] * 3


@every_space
@given(
    vectors=st.lists(pairs, min_size=1, max_size=40),
    query=pairs,
    k=st.integers(0, 12),
    data=st.data(),
)
def test_the_scan_is_brute_force(
    space: Space, vectors: list[tuple[float, float]], query: tuple[float, float], k: int, data: st.DataObject
) -> None:
    group = memory_row_group([Row(f"{number}", vector, None, None, None) for number, vector in enumerate(vectors)])
    everything = list(range(len(vectors)))
    subset = data.draw(st.none() | st.sets(st.sampled_from(everything)).map(sorted))
    rows = None if subset is None else np.array(subset, dtype=np.int64)
    result, scored = exact_knn.knn_scan(group, space, np.array(query, dtype=np.float32), rows, k)
    allowed = everything if subset is None else subset
    query_vector = np.array(query, dtype=np.float32)
    reference = {row: reference_distance(space, query_vector, vectors[row]) for row in allowed}
    assert len(set(result.tolist())) == len(result) == min(k, len(allowed))
    np.testing.assert_allclose(scored, sorted(reference.values())[:k], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scored, [reference[row] for row in result.tolist()], rtol=1e-5, atol=1e-5)


def test_ties_are_broken_by_row() -> None:
    group = memory_row_group([Row(f"{number}", (1.0, 1.0), None, None, None) for number in range(30)])
    result, _ = exact_knn.rerank(group, Space.L2, np.ones(2, np.float32), np.arange(30)[::-1].copy(), 5)
    assert result.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [100, 5_000])
def test_the_scan_is_exact_far_from_the_origin(count: int) -> None:
    """Places on the globe, say: where the norms are large and the differences small, sums in float32 cancel."""
    source = np.random.default_rng(3)
    vectors = (np.array([48.85, 2.35]) + source.normal(size=(count, 2)) / 1000).astype(np.float32)
    group = memory_row_group(
        [Row(f"{number}", (x, y), None, None, None) for number, (x, y) in enumerate(vectors.tolist())]
    )
    for query in vectors[:20] + np.float32(1e-4):
        exact = reference_distances("l2", query, vectors)
        _, scored = exact_knn.knn_scan(group, Space.L2, query, None, 10)
        np.testing.assert_allclose(scored, np.sort(exact)[:10], rtol=1e-5)
