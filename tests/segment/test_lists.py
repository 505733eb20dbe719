"""Clustered segments: the files, the search in their lists, the recall that they promise, and damage."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.collection.read.lists_planner import knn_in_lists
from afterglow.collection.read.rescoring import ClusteredGroup
from afterglow.collection.replica.replica_state import RowGroupView
from afterglow.errors import Corrupt
from afterglow.segment import array_file, breadth, lists, manifest, records
from afterglow.segment.breadth import Breadth
from afterglow.segment.distance import Space, pairwise_distances, squared_norms
from afterglow.segment.hnsw import HnswParameters
from afterglow.segment.list_index import CENTROIDS, LISTS, ListIndex
from afterglow.segment.lists import Candidates
from afterglow.segment.reader import Segment
from afterglow.segment.row_group import RowSubset
from afterglow.storage.ports import Stores
from tests.segment.row_groups import Row, every_row, memory_row_group, random_rows, rows_of, write_clustered


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=40).filter(any),
    share=st.sampled_from([0.001, 0.1, 1.0]),
    seed=st.integers(0, 9),
)
def test_the_lists_of_few_and_of_many_rows_are_found(sizes: list[int], share: float, seed: int) -> None:
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = np.random.default_rng(seed).permutation(int(starts[-1]))[: max(int(share * starts[-1]), 1)]
    found = lists.lists_of(starts, rows)
    assert found.dtype == np.int64
    assert (starts[found] <= rows).all()
    assert (rows < starts[found + 1]).all()
    assert lists.lists_of(starts, rows.reshape(1, -1)).tolist() == [found.tolist()]


def parameters(space: Space, ef_search: int = 0) -> HnswParameters:
    return HnswParameters(space, connectivity=8, ef_construction=64, ef_search=ef_search)


def index_of(segment: Segment) -> ListIndex:
    assert segment.lists is not None
    return segment.lists


def search(
    index: ListIndex, query: NDArray[np.float32], chosen: NDArray[np.int64], mask: Any, count: int
) -> Candidates:
    (data,) = index.objects.need([index.list_request(chosen)])
    return index.open(data).search(query, chosen, mask, count)


def made(rows: int, dimension: int, seed: int) -> NDArray[np.float32]:
    """Rows of a mixture with as much noise as structure."""
    source = np.random.default_rng(seed)
    centres = np.random.default_rng(5).normal(size=(60, dimension))
    noise = source.normal(size=(rows, dimension)) * 0.7
    return (centres[source.integers(60, size=rows)] + noise).astype(np.float32)


def group_of(vectors: NDArray[np.float32]) -> RowSubset:
    named = [Row(f"{number}", tuple(vector), None, None, None) for number, vector in enumerate(vectors.tolist())]
    return every_row(memory_row_group(named))


def test_rows_survive_clustering(stores: Stores) -> None:
    given = random_rows(300)
    info = write_clustered(stores, every_row(memory_row_group(given)))
    assert {CENTROIDS, LISTS, manifest.RECORDS} <= set(info.files)
    segment = Segment(stores.objects, info, parameters(Space.L2))
    assert sorted(rows_of(segment.rows), key=lambda row: row.id) == sorted(given, key=lambda row: row.id)


def test_every_entry_leads_to_its_record_and_its_vector(stores: Stores) -> None:
    info = write_clustered(stores, every_row(memory_row_group(random_rows(300))))
    segment = Segment(stores.objects, info, parameters(Space.L2))
    index = index_of(segment)
    (entries,) = stores.objects.need([index.list_request(np.arange(len(index.centroids)))])
    views = index.open(entries).views
    data = array_file.map_arrays(stores.objects.local_path(info.files[manifest.RECORDS].key), manifest.RECORDS)[
        "records"
    ]
    checksum_of = xxhash.xxh3_64_intdigest
    assert len(views.rows) >= 300
    for entry, row in enumerate(views.rows.tolist()):
        start = int(views.record_offsets[entry])
        record = data[start : start + int(views.record_lengths[entry])].tobytes()
        group = segment.rows
        columns = (group.ids, group.documents, group.uris, group.metadatas)
        assert records.decode(record) == tuple(column.get(row) for column in columns)
        assert int(views.record_checksums[entry]) == checksum_of(record)
        assert int(views.vector_checksums[entry]) == checksum_of(group.vectors[row])
        assert int(views.row_seqs[entry]) == int(group.row_seqs[row])


@pytest.mark.slow
@pytest.mark.parametrize("space", list(Space))
@pytest.mark.parametrize("shift", [0.0, 300.0])
def test_the_promised_recall_holds_for_unseen_queries(stores: Stores, space: Space, shift: float) -> None:
    vectors = made(4_000, 24, 1) + np.float32(shift)
    queries = made(100, 24, 2) + np.float32(shift)
    info = write_clustered(stores, group_of(vectors), space)
    segment = Segment(stores.objects, info, parameters(space))
    index = index_of(segment)
    found = 0
    for query, exact in zip(queries, pairwise_distances(space, queries, segment.rows.vectors), strict=True):
        projected = index.centroids.projection.query(query)
        keys = index.centroids.projection.comparable(index.centroids.distances(projected))
        probed = lists.nearest_lists(keys, index.probes(10))
        nearest = float(index.centroids.distances(projected).min())
        probed = probed[keys[probed] <= keys.min() + index.within(10, nearest)]
        rows = search(index, projected, probed, None, int(index.centroids.rescored.at(10))).places.rows
        assert len(set(rows.tolist())) == len(rows)
        found += len(set(np.argsort(exact)[:10].tolist()) & set(rows.tolist()))
    assert found >= 0.96 * 10 * len(queries)
    if not shift:
        assert index.probes(10) < 0.7 * len(index.centroids), "the measure distinguishes"


def test_a_search_of_all_lists_finds_every_row_inside_the_mask_once(stores: Stores) -> None:
    info = write_clustered(stores, group_of(made(700, 6, 1)))
    index = index_of(Segment(stores.objects, info, parameters(Space.L2)))
    mask = np.random.default_rng(0).random(700) < 0.2
    projected = index.centroids.projection.query(np.zeros(6, dtype=np.float32))
    every = np.arange(len(index.centroids))
    for chosen, expected in ((mask, np.flatnonzero(mask)), (None, np.arange(700))):
        assert sorted(search(index, projected, every, chosen, 700).places.rows.tolist()) == expected.tolist()


def test_an_ef_search_of_the_client_scales_the_breadth(stores: Stores) -> None:
    info = write_clustered(stores, group_of(made(3_000, 24, 1)))
    narrow, usual, wide = (
        index_of(Segment(stores.objects, info, parameters(Space.L2, ef_search))).probes(10)
        for ef_search in (25, 0, 200)
    )
    assert narrow < usual < wide


@pytest.mark.slow
def test_a_higher_target_probes_more(stores: Stores) -> None:
    few, many = (
        index_of(
            Segment(
                stores.objects,
                write_clustered(stores, group_of(made(3_000, 24, 1)), recall=recall),
                parameters(Space.L2),
            )
        ).probes(10)
        for recall in (0.7, 0.99)
    )
    assert few < many


def test_centroids_of_another_release_or_segment_are_refused(stores: Stores, tmp_path: Path) -> None:
    info = write_clustered(stores, group_of(made(300, 6, 1)))
    other = write_clustered(stores, group_of(made(200, 6, 1)))
    mixed = replace(info, files={**info.files, CENTROIDS: other.files[CENTROIDS]})
    with pytest.raises(Corrupt, match="is not of segment"):
        assert index_of(Segment(stores.objects, mixed, parameters(Space.L2))).centroids
    mixed = replace(info, files={**info.files, LISTS: other.files[LISTS]})
    with pytest.raises(Corrupt, match="does not match its segment"):
        assert index_of(Segment(stores.objects, mixed, parameters(Space.L2))).centroids
    with pytest.raises(Corrupt, match="is not of segment"):
        assert index_of(Segment(stores.objects, info, parameters(Space.COSINE))).centroids
    meta, arrays = array_file.parse(memoryview(stores.objects.get(info.files[CENTROIDS].key)), CENTROIDS, "centroids")
    with pytest.raises(Corrupt, match="a newer release wrote it"):
        lists.Centroids("centroids", {**meta, "version": 2}, arrays)
    with pytest.raises(Corrupt, match="cannot be read"):
        lists.Centroids("centroids", {**meta, "breadth": {"target": 1, "ks": [], "values": []}}, arrays)


def test_a_reader_ignores_roles_that_it_does_not_know(stores: Stores) -> None:
    info = write_clustered(stores, group_of(made(300, 6, 1)))
    newer = replace(info, files={**info.files, "unknown": info.files[LISTS]})
    assert Segment(stores.objects, newer, parameters(Space.L2)).lists is not None


@pytest.mark.parametrize("space", list(Space))
def test_far_lists_are_left_out_of_remote_queries_as_of_usual_ones(stores: Stores, space: Space) -> None:
    vectors = made(2_000, 24, 1)
    segment = Segment(stores.objects, write_clustered(stores, group_of(vectors), space), parameters(space))
    index = index_of(segment)
    view = RowGroupView(segment.rows, None, None, lists=index)
    limit = index.centroids.within
    for factor in (0.01, 3, 100):
        queries = np.float32(factor) * made(20, 24, 2)
        found = []
        for within in (limit, None):
            index.centroids.within = within
            found.append(0)
            for query, exact in zip(queries, pairwise_distances(space, queries, segment.rows.vectors), strict=True):
                (nearest,) = knn_in_lists([ClusteredGroup.of(view, index, None)], space, query, 10)
                last = np.sort(exact)[9]
                found[-1] += int((exact[nearest.rows] <= last + 1e-6 * abs(last) + 1e-9).sum())
        with_limit, without = found
        assert with_limit >= without - 0.06 * 10 * len(queries)


@pytest.mark.parametrize("space", list(Space))
def test_the_sample_is_exact(space: Space) -> None:
    vectors = made(1_500, 8, 3)
    sample = breadth.exact_sample(space, vectors, squared_norms(vectors), 20)
    assert sample is not None
    exact = pairwise_distances(space, vectors[sample.rows], vectors)
    exact[np.arange(len(sample.rows)), sample.rows] = np.inf
    expected = np.sort(exact, axis=1)[:, : sample.neighbors.shape[1]]
    np.testing.assert_allclose(np.take_along_axis(exact, sample.neighbors, axis=1), expected, rtol=1e-4, atol=1e-5)


def test_the_breadth_is_measured_from_one_neighbour_on() -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    sample = breadth.exact_sample(Space.L2, vectors, squared_norms(vectors), 10)
    assert sample is not None
    assert sample.depths() == [1, 2, 3, 5, 7, 10, 15, 20, 30]


def test_breadth_between_and_beyond_the_measured_ks() -> None:
    table = Breadth(0.98, (10, 100), (40.0, 160.0))
    assert [round(table.at(k), 3) for k in (1, 10, 100, 200)] == [40, 40, 160, 320]
    assert 79 < table.at(10**1.5) < 81
    assert Breadth.from_json(table.to_json()) == table


def test_the_limits_spare_easy_queries_and_suffice_for_hard_ones() -> None:
    distances = [np.array([1, 9, 9, 9, 9, 9], np.float32)] * 9 + [np.array([1, 2, 2.5, 3, 9, 9], np.float32)]
    ranks = np.array([[1, 1]] * 9 + [[1, 4]])
    assert breadth.limits(ranks, distances, 1.0, 1.0) == (4, 2)
    assert breadth.limits(ranks, distances, 1.0, 0.9)[0] == 1


def test_limits_reach_their_share() -> None:
    source = np.random.default_rng()
    distances = [np.sort(source.random(50, np.float32)) for _ in range(40)]
    ranks = source.integers(1, 51, (40, 10))
    for share in (0.5, 0.9, 1.0):
        most, within = breadth.limits(ranks, distances, 0.01, share)
        excess = np.take_along_axis(np.array(distances), ranks - 1, axis=1) - np.array(distances)[:, :1]
        excess /= [[np.float32(breadth.remoteness(float(values[0]), 0.01))] for values in distances]
        assert np.mean((ranks <= most) & (excess <= within)) >= share


def test_of_equally_far_neighbours_those_that_need_least_count() -> None:
    needed, distances = np.array([[5, 9, 2, 1, 7]]), np.array([[0, 1, 1, 2]], np.float32)
    assert breadth.ascending_in_ties(needed, distances).tolist() == [[5, 2, 9, 1, 7]]


def test_least_sufficient_is_a_quantile() -> None:
    needed = np.array([[1, 2], [3, 100]])
    assert [breadth.least_sufficient(needed, share) for share in (0.25, 0.5, 0.75, 0.76, 1.0)] == [1, 2, 3, 100, 100]


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([1, 2, 7, 100, 1_000, 5_000]),
    count=st.integers(0, 200),
    special=st.sampled_from([None, np.inf, np.nan, 0.0]),
    share=st.sampled_from([0.05, 0.5, 1.0]),
)
def test_the_nearest_lists_are_the_first_of_all_sorted(
    seed: int, size: int, count: int, special: float | None, share: float
) -> None:
    random = np.random.default_rng(seed)
    distances = random.normal(size=size) ** 2
    if special is not None:
        distances[random.random(size) < share] = special
    nearest = lists.nearest_lists(distances, count)
    assert len(np.unique(nearest)) == len(nearest) == min(count, size)
    assert np.array_equal(distances[nearest], np.sort(distances)[:count], equal_nan=True)
