"""Binary codes: what an estimate is, how near it comes, and how many of the best hold the nearest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.segment import binary_codes, distance
from afterglow.segment.binary_codes import BinaryQuery, CodedRows
from afterglow.segment.distance import Space
from afterglow.segment.lists import lists_of
from afterglow.segment.projection import Projection

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


def coded(vectors: Vectors, lists: int) -> CodedRows:
    starts = np.linspace(0, len(vectors), lists + 1).astype(np.int64)
    means = np.add.reduceat(vectors, starts[:-1], axis=0) / np.diff(starts)[:, np.newaxis]
    centroids: Vectors = means.astype(np.float32)
    projection = Projection(Space.L2, 1.0, 0.0, np.zeros(vectors.shape[1], dtype=np.float32))
    own = centroids[lists_of(starts, np.arange(len(vectors)))]
    entries = binary_codes.encode(vectors - own, own)
    return CodedRows(vectors, distance.squared_norms(vectors), entries, starts, centroids, projection)


def test_the_depth_holds_the_promised_share_of_the_nearest() -> None:
    random = np.random.default_rng(2)
    centers = np.repeat(random.normal(size=(40, 128)), 100, axis=0)
    rows = coded((centers + random.normal(size=centers.shape)).astype(np.float32), 40)
    (most, more), (half,) = binary_codes.depths(rows, (10, 100), 0.99), binary_codes.depths(rows, (10,), 0.5)
    assert 10 <= half < most < 400
    assert more > most
    found = []
    for number in range(50, 4_000, 60):
        query = rows.vectors[number] + np.float32(0.3) * random.normal(size=128).astype(np.float32)
        exact = ((rows.vectors - query) ** 2).sum(axis=1)
        lists = lists_of(rows.starts, np.arange(len(exact)))
        to_lists = distance.squared_norms(rows.centroids[lists] - query)
        short = np.argsort(binary_codes.estimates(BinaryQuery.of(query), rows.entries, to_lists))[: int(most)]
        found.append(np.isin(np.argsort(exact)[:10], short).mean())
    assert np.mean(found) >= 0.96


def test_equal_rows_need_no_more_than_k() -> None:
    rows = coded(np.repeat(np.eye(8, dtype=np.float32), 50, axis=0), 8)
    assert binary_codes.depths(rows, (10,), 1.0) == [10]
    assert binary_codes.depths(coded(np.ones((1, 8), dtype=np.float32), 1), (10,), 1.0) == [1]
