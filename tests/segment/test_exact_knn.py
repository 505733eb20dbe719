"""The exact scan: chunks, ties, and rounding do not show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.segment import exact_knn
from afterglow.segment.distance import Space
from afterglow.segment.row_group import RowGroup
from tests.segment.row_groups import Row, memory_row_group
from tests.support.distances import reference_distances

coordinates = st.integers(-8, 8).map(lambda number: number / 4)
vectors = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=60)


def group_of(points: list[tuple[float, float]], row_seqs: list[int] | None = None) -> RowGroup:
    rows = [Row(f"{number}", point, None, None, None) for number, point in enumerate(points)]
    return memory_row_group(rows, None if row_seqs is None else np.array(row_seqs, dtype=np.int64))


@settings(max_examples=50)
@given(
    vectors, st.tuples(coordinates, coordinates), st.integers(0, 30), st.sampled_from([Space.L2, Space.IP]), st.data()
)
def test_ties_are_broken_by_insertion_order(
    points: list[tuple[float, float]], query: tuple[float, float], k: int, space: Space, data: st.DataObject
) -> None:
    """With coordinates whose distances are exact, the result is the definition's, ties included."""
    row_seqs = data.draw(st.permutations(range(len(points))))
    distances = reference_distances(space, query, points)
    expected = np.lexsort((np.array(row_seqs), distances))[:k]
    rows, scored = exact_knn.knn_scan(group_of(points, list(row_seqs)), space, np.array(query, np.float32), None, k)
    assert rows.tolist() == expected.tolist()
    assert scored.tolist() == distances[expected].tolist()


@pytest.mark.parametrize("space", Space)
def test_a_subset_over_several_chunks(monkeypatch: pytest.MonkeyPatch, space: Space) -> None:
    monkeypatch.setattr(exact_knn, "_CHUNK", 7)
    points = np.random.default_rng(1).normal(size=(100, 2)).astype(np.float32)
    group = group_of([(x, y) for x, y in points.tolist()])
    subset = np.arange(1, 100, 3)
    rows, scored = exact_knn.knn_scan(group, space, points[0], subset, 10)
    expected = reference_distances(space, points[0], points[subset])
    assert set(rows.tolist()) <= set(subset.tolist())
    np.testing.assert_allclose(scored, np.sort(expected)[:10], rtol=1e-5, atol=1e-6)


def test_no_rows_are_no_neighbours() -> None:
    empty = np.empty(0, dtype=np.int64)
    rows, scored = exact_knn.knn_scan(group_of([(0, 0)]), Space.L2, np.zeros(2, np.float32), empty, 3)
    assert (len(rows), len(scored)) == (0, 0)
