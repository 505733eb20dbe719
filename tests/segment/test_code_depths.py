"""How many of the best by codes hold the nearest, with one bit for each component and with two."""

from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from afterglow.segment import binary_codes, distance, two_bit_codes
from afterglow.segment.binary_codes import BinaryQuery
from afterglow.segment.code_depths import CodedRows, depths
from afterglow.segment.distance import Space
from afterglow.segment.lists import lists_of
from afterglow.segment.projection import Projection

Vectors = NDArray[np.float32]


def coded(vectors: Vectors, lists: int, codes: ModuleType) -> CodedRows:
    starts = np.linspace(0, len(vectors), lists + 1).astype(np.int64)
    means = np.add.reduceat(vectors, starts[:-1], axis=0) / np.diff(starts)[:, np.newaxis]
    centroids: Vectors = means.astype(np.float32)
    projection = Projection(Space.L2, 1.0, 0.0, np.zeros(vectors.shape[1], dtype=np.float32))
    own = centroids[lists_of(starts, np.arange(len(vectors)))]
    entries = codes.encode(vectors - own, own)
    norms = distance.squared_norms(vectors)
    return CodedRows(vectors, norms, entries, starts, centroids, projection, codes.estimates)


def clustered_vectors() -> Vectors:
    random = np.random.default_rng(2)
    centers = np.repeat(random.normal(size=(40, 128)), 100, axis=0)
    vectors: Vectors = (centers + random.normal(size=centers.shape)).astype(np.float32)
    return vectors


@pytest.mark.parametrize("codes", [binary_codes, two_bit_codes])
def test_the_depth_holds_the_promised_share_of_the_nearest(codes: ModuleType) -> None:
    rows = coded(clustered_vectors(), 40, codes)
    (most, more), (half,) = depths(rows, (10, 100), 0.99), depths(rows, (10,), 0.5)
    assert 10 <= half < most < 400
    assert more > most
    found = []
    random = np.random.default_rng(3)
    for number in range(50, 4_000, 60):
        query = rows.vectors[number] + np.float32(0.3) * random.normal(size=128).astype(np.float32)
        exact = ((rows.vectors - query) ** 2).sum(axis=1)
        lists = lists_of(rows.starts, np.arange(len(exact)))
        to_lists = distance.squared_norms(rows.centroids[lists] - query)
        short = np.argsort(rows.estimates(BinaryQuery.of(query), rows.entries, to_lists))[: int(most)]
        found.append(np.isin(np.argsort(exact)[:10], short).mean())
    assert np.mean(found) >= 0.96


def test_two_bits_need_less_depth_than_one() -> None:
    vectors = clustered_vectors()
    one, two = (depths(coded(vectors, 40, codes), (10, 100), 0.98) for codes in (binary_codes, two_bit_codes))
    assert two[0] < 0.6 * one[0]
    assert 100 <= two[1] <= one[1]


@pytest.mark.parametrize("codes", [binary_codes, two_bit_codes])
def test_equal_rows_need_no_more_than_k(codes: ModuleType) -> None:
    rows = coded(np.repeat(np.eye(8, dtype=np.float32), 50, axis=0), 8, codes)
    assert depths(rows, (10,), 1.0) == [10]
    assert depths(coded(np.ones((1, 8), dtype=np.float32), 1, codes), (10,), 1.0) == [1]
