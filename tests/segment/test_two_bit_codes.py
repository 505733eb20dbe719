"""Codes of two bits: what an estimate is, and how near it comes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.segment import distance, two_bit_codes
from afterglow.segment.binary_codes import BinaryQuery

Vectors = NDArray[np.float32]


def estimated(query: Vectors, rows: Vectors, centroids: Vectors) -> Vectors:
    entries = two_bit_codes.encode(rows - centroids, centroids)
    return two_bit_codes.estimates(BinaryQuery.of(query), entries, distance.squared_norms(centroids - query))


@pytest.mark.parametrize(("width", "size"), [(1, 24), (64, 24), (65, 40), (384, 104), (1_536, 392)])
def test_an_entry_has_two_bits_per_component_and_two_numbers(width: int, size: int) -> None:
    assert two_bit_codes.entry_bytes(width) == size
    rows = np.ones((3, width), dtype=np.float32)
    assert two_bit_codes.encode(rows, np.zeros_like(rows)).shape == (3, size)


@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 200),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    offset=st.sampled_from([0.0, 5.0]),
)
def test_an_estimate_replaces_the_residual_by_its_levels(seed: int, width: int, scale: float, offset: float) -> None:
    random = np.random.default_rng(seed)
    rows, centroids = (scale * (offset + random.normal(size=(2, 20, width)))).astype(np.float32)
    rows[:5] = centroids[:5]
    query = (scale * (offset + random.normal(size=width))).astype(np.float32)
    narrow = rows - centroids
    residuals = narrow.astype(np.float64)
    norms = (residuals**2).sum(axis=1)
    is_outer = np.abs(narrow) > np.sqrt(distance.squared_norms(narrow) / np.float32(width))[:, np.newaxis]
    levels = np.where(residuals > 0, 1.0, -1.0) * np.where(is_outer, 3.0, 1.0)
    products = (residuals * levels).sum(axis=1)
    factors = np.divide(norms, products, out=np.zeros_like(norms), where=products > 0)
    to_centroids = ((query - centroids.astype(np.float64)) ** 2).sum(axis=1)
    expected = to_centroids + norms - 2 * factors * (levels * (query - centroids)).sum(axis=1)
    step = (float(query.max()) - float(query.min())) / 15
    rounding = 1e-3 * (to_centroids + norms + scale**2 * (1 + offset**2) * width)
    error = 2 * factors * np.abs(levels).sum(axis=1) * step / 2 + rounding
    assert (np.abs(estimated(query, rows, centroids) - expected) <= error).all()


def test_the_error_is_half_of_that_of_one_bit() -> None:
    random = np.random.default_rng(5)
    residuals = random.normal(size=(200, 384)).astype(np.float32)
    directions = random.normal(size=(200, 384))
    is_outer = np.abs(residuals) > np.sqrt((residuals**2).mean(axis=1))[:, np.newaxis]
    errors = []
    for levels in (np.sign(residuals), np.sign(residuals) * np.where(is_outer, 3, 1)):
        factors = (residuals**2).sum(axis=1) / (residuals * levels).sum(axis=1)
        errors.append(np.std(((residuals - factors[:, np.newaxis] * levels) * directions).sum(axis=1)))
    assert errors[1] < 0.55 * errors[0]


def test_a_row_at_its_centroid_is_as_far_as_that() -> None:
    centroids = np.random.default_rng(1).normal(size=(10, 33)).astype(np.float32)
    query = np.ones(33, dtype=np.float32)
    found = estimated(query, centroids, centroids)
    assert found == pytest.approx(distance.squared_norms(centroids - query), rel=1e-5)
