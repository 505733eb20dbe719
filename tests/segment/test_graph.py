"""The graph: what it finds, also when it was extended, and from many threads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from afterglow.segment import graph, spaces
from afterglow.segment.graph import Graph, GraphParameters
from afterglow.segment.spaces import Space
from tests.contract.racing import in_threads

ROWS, DIMENSION = 2_000, 16
Matrix = NDArray[np.float32]


def parameters(space: Space) -> GraphParameters:
    return GraphParameters(space, connectivity=16, ef_construction=128, ef_search=128)


def opened(path: Path, space: Space) -> Graph:
    return Graph(memoryview(path.read_bytes()), parameters(space), DIMENSION)


@pytest.fixture(scope="module")
def vectors() -> Matrix:
    source = np.random.default_rng(11)
    centres = source.normal(size=(20, DIMENSION))
    found: Matrix = (centres[np.arange(ROWS) % 20] + source.normal(size=(ROWS, DIMENSION)) / 3).astype(np.float32)
    return found


def recall(found: Graph, space: Space, vectors: Matrix) -> float:
    """The share of the true ten nearest among forty candidates."""
    hits = 0
    for query in vectors[::100] + np.float32(0.05):
        best = np.argsort(spaces.exact(space, vectors, query), kind="stable")[:10]
        hits += len(set(best.tolist()) & set(found.search(query, 40).tolist()))
    return hits / (10 * len(vectors[::100]))


@pytest.mark.parametrize("space", Space)
def test_a_graph_finds_the_nearest(tmp_path: Path, vectors: Matrix, space: Space) -> None:
    graph.build(tmp_path / "graph", parameters(space), vectors, 1)
    assert recall(opened(tmp_path / "graph", space), space, vectors) >= 0.98


@pytest.mark.parametrize("space", Space)
def test_an_extended_graph_finds_them_as_well(tmp_path: Path, vectors: Matrix, space: Space) -> None:
    graph.build(tmp_path / "base", parameters(space), vectors[:1_200], 1)
    before = (tmp_path / "base").read_bytes()
    graph.build(tmp_path / "graph", parameters(space), vectors, 1, tmp_path / "base")
    assert (tmp_path / "base").read_bytes() == before
    assert recall(opened(tmp_path / "graph", space), space, vectors) >= 0.98


def test_extending_by_nothing_changes_nothing(tmp_path: Path, vectors: Matrix) -> None:
    graph.build(tmp_path / "base", parameters(Space.L2), vectors[:100], 1)
    graph.build(tmp_path / "graph", parameters(Space.L2), vectors[:100], 1, tmp_path / "base")
    found = opened(tmp_path / "graph", Space.L2).search(vectors[7], 100)
    assert sorted(found.tolist()) == list(range(100))


@pytest.mark.parametrize("rows", [1, 2, 30])
def test_asking_for_more_than_there_is(tmp_path: Path, vectors: Matrix, rows: int) -> None:
    graph.build(tmp_path / "graph", parameters(Space.L2), vectors[:rows], 1)
    found = opened(tmp_path / "graph", Space.L2).search(vectors[0], 100)
    assert sorted(found.tolist()) == list(range(rows))


def test_duplicates_and_zero_vectors_are_all_there(tmp_path: Path) -> None:
    vectors = np.zeros((300, DIMENSION), dtype=np.float32)
    vectors[150:] = 1
    for space in Space:
        graph.build(tmp_path / space, parameters(space), vectors, 1)
        found = opened(tmp_path / space, space).search(vectors[200], 100).tolist()
        assert len(set(found)) == len(found) == 100


def test_threads_search_one_graph(tmp_path: Path, vectors: Matrix) -> None:
    graph.build(tmp_path / "graph", parameters(Space.L2), vectors, 2)
    shared = opened(tmp_path / "graph", Space.L2)
    alone = [shared.search(query, 20).tolist() for query in vectors[:50]]

    def work(number: int) -> Any:
        return [shared.search(query, 20).tolist() for query in vectors[:50]]

    assert in_threads(4, work) == [alone] * 4
