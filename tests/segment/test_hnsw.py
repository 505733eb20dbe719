"""The graph: its recall, also after an extension and from many threads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from usearch.index import Index

from afterglow.errors import Corrupt
from afterglow.segment import distance, hnsw
from afterglow.segment.distance import Space
from afterglow.segment.hnsw import HnswBuild, HnswIndex, HnswParameters
from afterglow.segment.precision import VectorType
from tests.contract.racing import in_threads

ROWS, DIMENSION = 2_000, 32
CHUNK_BYTES = 64 * 1024
Matrix = NDArray[np.float32]


def parameters(space: Space) -> HnswParameters:
    return HnswParameters(space, connectivity=16, ef_construction=128, ef_search=128)


def opened(path: Path, space: Space, rows: int = ROWS, dimension: int = DIMENSION) -> HnswIndex:
    return HnswIndex("the graph", memoryview(path.read_bytes()), parameters(space), rows, dimension)


@pytest.fixture(scope="module")
def vectors() -> Matrix:
    source = np.random.default_rng(11)
    centres = source.normal(size=(20, DIMENSION))
    result: Matrix = (centres[np.arange(ROWS) % 20] + source.normal(size=(ROWS, DIMENSION)) / 3).astype(np.float32)
    return result


def far(vectors: Matrix) -> Matrix:
    """A small spread far from the origin."""
    moved: Matrix = (10 + vectors / 20).astype(np.float32)
    return moved


def recall(result: HnswIndex, space: Space, vectors: Matrix) -> float:
    """The share of the true ten nearest among forty candidates."""
    hits = 0
    for query in vectors[::100] + np.float32(0.05):
        best = np.argsort(distance.exact_distances(space, vectors, query), kind="stable")[:10]
        hits += len(set(best.tolist()) & set(result.search(query, 40).tolist()))
    return hits / (10 * len(vectors[::100]))


@pytest.mark.parametrize("space", Space)
def test_a_graph_finds_the_nearest(tmp_path: Path, vectors: Matrix, space: Space) -> None:
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(space), 1, CHUNK_BYTES), vectors)
    assert recall(opened(tmp_path / "graph", space), space, vectors) >= 0.98


@pytest.mark.parametrize("space", Space)
def test_an_extended_graph_finds_them_as_well(tmp_path: Path, vectors: Matrix, space: Space) -> None:
    hnsw.build(tmp_path / "base", HnswBuild(parameters(space), 1, CHUNK_BYTES), vectors[:1_200])
    before = (tmp_path / "base").read_bytes()
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(space), 1, CHUNK_BYTES, tmp_path / "base"), vectors)
    assert (tmp_path / "base").read_bytes() == before
    assert recall(opened(tmp_path / "graph", space), space, vectors) >= 0.98


def test_extending_by_nothing_changes_nothing(tmp_path: Path, vectors: Matrix) -> None:
    hnsw.build(tmp_path / "base", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES), vectors[:100])
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES, tmp_path / "base"), vectors[:100])
    result = opened(tmp_path / "graph", Space.L2, 100).search(vectors[7], 100)
    assert sorted(result.tolist()) == list(range(100))


@pytest.mark.parametrize("rows", [1, 2, 30])
def test_asking_for_more_than_there_is(tmp_path: Path, vectors: Matrix, rows: int) -> None:
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES), vectors[:rows])
    result = opened(tmp_path / "graph", Space.L2, rows).search(vectors[0], 100)
    assert sorted(result.tolist()) == list(range(rows))


@pytest.mark.parametrize("space", Space)
@pytest.mark.parametrize("move", [lambda vectors: vectors, far])
def test_a_search_finds_what_the_interface_of_usearch_finds(
    tmp_path: Path, vectors: Matrix, space: Space, move: Callable[[Matrix], Matrix]
) -> None:
    rows = move(vectors)
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(space), 1, CHUNK_BYTES), rows)
    index = opened(tmp_path / "graph", space)
    public = index._open_view()
    public.expansion_search = 30  # type: ignore[misc]
    queries = rows[:200:20] + np.float32(0.05)
    for query, found in zip(queries, index.search_batch(queries, 30), strict=True):
        expected = public.search(hnsw.query_values(space, query[np.newaxis], index.rounding)[0], 30).keys.tolist()
        assert found.tolist() == index.search(query, 30).tolist() == expected


def test_duplicates_and_zero_vectors_are_all_there(tmp_path: Path) -> None:
    vectors = np.zeros((300, DIMENSION), dtype=np.float32)
    vectors[150:] = 1
    for space in Space:
        hnsw.build(tmp_path / space, HnswBuild(parameters(space), 1, CHUNK_BYTES), vectors)
        result = opened(tmp_path / space, space, 300).search(vectors[200], 100).tolist()
        assert len(set(result)) == len(result) == 100


def test_threads_search_one_graph(tmp_path: Path, vectors: Matrix) -> None:
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(Space.L2), 2, CHUNK_BYTES), vectors)
    shared = opened(tmp_path / "graph", Space.L2)
    alone = [shared.search(query, 20).tolist() for query in vectors[:50]]

    def work(number: int) -> Any:
        return [shared.search(query, 20).tolist() for query in vectors[:50]]

    assert in_threads(4, work) == [alone] * 4


def test_vectors_that_bf16_tells_apart_are_held_in_it(tmp_path: Path, vectors: Matrix) -> None:
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES), vectors)
    assert opened(tmp_path / "graph", Space.L2).rounding.vector_type is VectorType.BF16


@pytest.mark.parametrize("space", Space)
def test_a_graph_of_codes_finds_the_nearest_also_when_extended(tmp_path: Path, space: Space) -> None:
    source = np.random.default_rng(4)
    vectors = (source.normal(size=(20, 128))[np.arange(ROWS) % 20] + source.normal(size=(ROWS, 128)) / 3).astype("f4")
    vectors[1::50] = 0
    rounding = hnsw.build(tmp_path / "base", HnswBuild(parameters(space), 1, CHUNK_BYTES), vectors[:1_200])
    assert rounding.vector_type is VectorType.I8
    plan = HnswBuild(parameters(space), 1, CHUNK_BYTES, tmp_path / "base", base_scale=rounding.scale)
    assert hnsw.build(tmp_path / "graph", plan, vectors) == rounding
    data = memoryview((tmp_path / "graph").read_bytes())
    result = HnswIndex("the graph", data, parameters(space), ROWS, 128, scale=rounding.scale)
    assert recall(result, space, vectors) >= 0.98
    with pytest.raises(Corrupt, match="the graph does not match the scale"):
        HnswIndex("the graph", data, parameters(space), ROWS, 128)
    larger = np.concatenate([vectors, 2 * vectors])
    again = hnsw.build(tmp_path / "larger", plan, larger)
    assert again == rounding if space is Space.COSINE else again.scale < rounding.scale


@pytest.mark.parametrize("space", Space)
def test_vectors_far_from_the_origin_are_held_in_float32(tmp_path: Path, vectors: Matrix, space: Space) -> None:
    moved = far(vectors)
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(space), 1, CHUNK_BYTES), moved)
    result = opened(tmp_path / "graph", space)
    assert result.rounding.vector_type is VectorType.F32
    assert recall(result, space, moved) >= 0.98


def test_a_graph_in_float32_is_extended_as_it_is(tmp_path: Path, vectors: Matrix) -> None:
    mixed = np.concatenate([far(vectors[:400]), vectors[400:]])
    hnsw.build(tmp_path / "base", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES), mixed[:400])
    hnsw.build(tmp_path / "rest", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES), mixed[400:])
    assert opened(tmp_path / "rest", Space.L2, 1_600).rounding.vector_type is VectorType.BF16
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES, tmp_path / "base"), mixed)
    result = opened(tmp_path / "graph", Space.L2)
    assert result.rounding.vector_type is VectorType.F32
    assert recall(result, Space.L2, mixed) >= 0.98


def test_a_graph_in_bf16_is_built_anew_where_what_joins_it_does_not_suit_it(tmp_path: Path, vectors: Matrix) -> None:
    mixed = np.concatenate([vectors[:1_200], far(vectors[1_200:])])
    hnsw.build(tmp_path / "base", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES), mixed[:1_200])
    assert opened(tmp_path / "base", Space.L2, 1_200).rounding.vector_type is VectorType.BF16
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES, tmp_path / "base"), mixed)
    result = opened(tmp_path / "graph", Space.L2)
    assert result.rounding.vector_type is VectorType.F32
    assert recall(result, Space.L2, mixed) >= 0.98


def test_a_graph_of_bf16_in_few_dimensions_is_still_read(tmp_path: Path, vectors: Matrix) -> None:
    """Older segments have such graphs; a compaction replaces them."""
    few = np.ascontiguousarray(vectors[:, :4])
    index = Index(ndim=4, metric="l2sq", dtype="bf16")
    index.add(np.arange(1_000, dtype=np.uint64), few[:1_000], threads=1)
    index.save(str(tmp_path / "base"))
    old = opened(tmp_path / "base", Space.L2, 1_000, 4)
    assert old.rounding.vector_type is VectorType.BF16
    assert recall(old, Space.L2, few[:1_000]) >= 0.95
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES, tmp_path / "base"), few)
    assert opened(tmp_path / "graph", Space.L2, ROWS, 4).rounding.vector_type is VectorType.F32


@pytest.mark.parametrize(
    ("space", "rows", "dimension", "message"),
    [
        (Space.IP, 100, DIMENSION, "32 dimensions by L2sq, not of 32 by IP"),
        (Space.L2, 100, 31, "32 dimensions by L2sq, not of 31 by L2sq"),
        (Space.L2, 101, DIMENSION, "holds 100 of 101 vectors"),
    ],
)
def test_a_graph_of_something_else_is_refused(
    tmp_path: Path, vectors: Matrix, space: Space, rows: int, dimension: int, message: str
) -> None:
    hnsw.build(tmp_path / "graph", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES), vectors[:100])
    with pytest.raises(Corrupt, match=f"the graph (is a graph of )?{message}"):
        opened(tmp_path / "graph", space, rows, dimension)


def test_other_files_and_other_scalar_types_are_refused(tmp_path: Path, vectors: Matrix) -> None:
    (tmp_path / "base").write_bytes(bytes(1_000))
    with pytest.raises(Corrupt, match="the graph is not a graph"):
        opened(tmp_path / "base", Space.L2)
    with pytest.raises(Corrupt, match="base is not a graph"):
        hnsw.build(tmp_path / "graph", HnswBuild(parameters(Space.L2), 1, CHUNK_BYTES, tmp_path / "base"), vectors)
    index = Index(ndim=DIMENSION, metric="l2sq", dtype="f16")
    index.save(str(tmp_path / "base"))
    with pytest.raises(Corrupt, match="'f16' is not a valid VectorType"):
        opened(tmp_path / "base", Space.L2, 0)
