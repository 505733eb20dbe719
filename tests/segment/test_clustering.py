"""Rows in lists: every row once, copies on the borders, bounded lists, whatever the rows are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.segment import clustering, kmeans, projection
from afterglow.segment.clustering import Clustering
from afterglow.segment.distance import Space, pairwise_sort_keys, squared_norms


def clustered(vectors: NDArray[np.float32], space: Space = Space.L2, chunk_rows: int = 500) -> Clustering | None:
    fitted = projection.fit(space, vectors, float(squared_norms(vectors).max()))
    assert fitted is not None
    return clustering.cluster(lambda rows: fitted.rows(vectors[rows]), len(vectors), fitted, chunk_rows)


def blobs(rows: int, dimension: int = 12, seed: int = 0) -> NDArray[np.float32]:
    source = np.random.default_rng(seed)
    centres = source.normal(size=(40, dimension))
    return (centres[source.integers(40, size=rows)] + source.normal(size=(rows, dimension)) / 3).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(1, 5), st.sampled_from(list(Space)), st.integers(0, 3))
def test_every_row_is_in_exactly_one_list_and_copies_are_in_others(
    rows: int, dimension: int, space: Space, distinct: int
) -> None:
    source = np.random.default_rng(rows)
    vectors = source.normal(size=(rows, dimension)).astype(np.float32)
    if distinct:
        vectors = vectors[source.integers(min(distinct, rows), size=rows)]
    lists = clustered(vectors, space)
    assert lists is not None
    assert sorted(lists.order.tolist()) == list(range(rows))
    assert lists.starts[0] == lists.copy_starts[0] == 0
    assert (lists.starts[-1], lists.copy_starts[-1]) == (rows, len(lists.copies))
    assert (np.diff(lists.starts) > 0).all()
    assert (np.diff(lists.copy_starts) >= 0).all()
    for number in range(len(lists.centroids)):
        first, last = lists.starts[number : number + 2]
        own = lists.order[first:last]
        assert (np.diff(own) > 0).all()
        copies = lists.copies[lists.copy_starts[number] : lists.copy_starts[number + 1]]
        assert len(set(copies.tolist())) == len(copies)
        assert not set(copies.tolist()) & set(range(first, last))


def test_lists_of_copies_of_one_point_are_bounded() -> None:
    lists = clustered(np.ones((5_000, 3), dtype=np.float32))
    assert lists is not None
    assert np.diff(lists.starts).max() <= 4 * clustering.rows_per_list(5_000, 3)


def test_lists_have_more_rows_where_these_are_many_or_small() -> None:
    sizes = [clustering.rows_per_list(rows, 384) for rows in (1, 57_600, 1_000_000, 10**12)]
    assert sizes == [48, 48, 200, 1_024]
    assert [clustering.rows_per_list(1_000_000, width) for width in (3_072, 96, 2)] == [200, 400, 600]
    assert clustering.rows_per_list(6_000, 2) == 48, "few are read in few requests anyway"


def test_rows_lie_near_the_centroid_of_their_list() -> None:
    vectors = blobs(6_000)
    lists = clustered(vectors)
    assert lists is not None
    points = lists.projection.rows(vectors[lists.order])
    keys = kmeans.assign(points, lists.centroids)[0]
    own = np.repeat(np.arange(len(lists.centroids)), np.diff(lists.starts))
    assert (keys == own).mean() > 0.95
    assert 0 < len(lists.copies) <= 0.35 * len(vectors)


def test_more_lists_than_one_k_means_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "_MAX_BRANCHES", 8)
    lists = clustered(blobs(4_000))
    assert lists is not None
    assert len(lists.centroids) > 64


def test_rows_whose_squares_overflow_are_not_clustered() -> None:
    vectors = blobs(300)
    vectors[17, 0] = 1e30
    fitted = projection.fit(Space.L2, vectors[:10], 1.0)
    assert fitted is not None
    assert clustering.cluster(lambda rows: fitted.rows(vectors[rows]), len(vectors), fitted, 100) is None


@pytest.mark.parametrize("space", list(Space))
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e12])
def test_projected_distances_rank_like_the_distances_of_the_space(space: Space, scale: float) -> None:
    vectors = (blobs(400) * scale).astype(np.float32)
    query = vectors[7] * np.float32(1.5)
    largest = float(squared_norms(vectors).max()) if space is Space.IP else 0.0
    fitted = projection.fit(space, vectors[::3], largest)
    assert fitted is not None
    differences = fitted.rows(vectors) - fitted.query(query)
    keys = fitted.comparable(squared_norms(differences))
    exact = pairwise_sort_keys(space, query[np.newaxis], vectors)[0]
    nearest, expected = np.argsort(keys)[:20], np.argsort(exact)[:20]
    assert len(set(nearest.tolist()) & set(expected.tolist())) >= 19
