"""Binary codes: what an estimate is, and how near it comes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.segment import binary_codes, distance
from afterglow.segment.binary_codes import BinaryQuery

Vectors = NDArray[np.float32]


def estimated(query: Vectors, rows: Vectors, centroids: Vectors) -> Vectors:
    entries = binary_codes.encode(rows - centroids, centroids)
    return binary_codes.estimates(BinaryQuery.of(query), entries, distance.squared_norms(centroids - query))


@pytest.mark.parametrize(("width", "size"), [(1, 16), (64, 16), (65, 24), (384, 56), (385, 64), (1_536, 200)])
def test_an_entry_has_a_bit_per_component_and_two_numbers(width: int, size: int) -> None:
    assert binary_codes.entry_bytes(width) == size
    rows = np.ones((3, width), dtype=np.float32)
    assert binary_codes.encode(rows, np.zeros_like(rows)).shape == (3, size)


@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 200),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    offset=st.sampled_from([0.0, 5.0]),
)
def test_an_estimate_replaces_the_residual_by_its_signs(seed: int, width: int, scale: float, offset: float) -> None:
    random = np.random.default_rng(seed)
    rows, centroids = (scale * (offset + random.normal(size=(2, 20, width)))).astype(np.float32)
    rows[:5] = centroids[:5]
    query = (scale * (offset + random.normal(size=width))).astype(np.float32)
    residuals = (rows - centroids).astype(np.float64)
    signs = np.where(residuals > 0, 1.0, -1.0)
    norms, sums = (residuals**2).sum(axis=1), np.abs(residuals).sum(axis=1)
    factors = np.divide(norms, sums, out=np.zeros_like(norms), where=sums > 0)
    to_centroids = ((query - centroids.astype(np.float64)) ** 2).sum(axis=1)
    expected = to_centroids + norms - 2 * factors * (signs * (query - centroids)).sum(axis=1)
    step = (float(query.max()) - float(query.min())) / 15
    error = 2 * factors * width * step / 2 + 1e-3 * (to_centroids + norms + scale**2 * (1 + offset**2) * width)
    assert (np.abs(estimated(query, rows, centroids) - expected) <= error).all()


def test_a_row_at_its_centroid_is_as_far_as_that() -> None:
    centroids = np.random.default_rng(1).normal(size=(10, 33)).astype(np.float32)
    query = np.ones(33, dtype=np.float32)
    found = estimated(query, centroids, centroids)
    assert found == pytest.approx(distance.squared_norms(centroids - query), rel=1e-5)
