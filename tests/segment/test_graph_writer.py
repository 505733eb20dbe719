"""Graphs as they are written: of coordinates where vectors vary in few directions, extended or built anew."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from afterglow.segment import array_file, distance, graph_writer
from afterglow.segment.breadth import Breadth
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.graph_writer import WrittenGraph
from afterglow.segment.hnsw import HnswBuild, HnswIndex, HnswParameters, rescored
from afterglow.segment.reduction import BASIS, Reduction
from tests.segment.flat_vectors import DIMENSION, ROWS, SPACES, flat

pytestmark = pytest.mark.slow

K = 10


@dataclass
class Folder:
    """Writes graphs into a folder, each under a name of its own."""

    path: Path
    space: Space
    written: int = 0

    def plan(self, base: WrittenGraph | None = None) -> HnswBuild:
        plan = HnswBuild(HnswParameters(self.space, 16, 128, 0), 1, 1 << 20)
        if base is None:
            return plan
        reduction = Reduction(base.arrays[BASIS]) if base.arrays else None
        scale = base.meta.get("code_scale", 0.0)
        return HnswBuild(plan.parameters, 1, 1 << 20, base.path, base_scale=scale, base_reduction=reduction)

    def write(self, vectors: Vectors, plan: HnswBuild | None = None) -> WrittenGraph:
        self.written += 1
        file = self.path / f"vectors {self.written}"
        array_file.write(file, "vectors", {}, {"vectors": vectors})
        mapped = array_file.map_arrays(file, "vectors")["vectors"]
        return graph_writer.write(
            lambda role: self.path / f"{role} {self.written}",
            plan or self.plan(),
            mapped,
            distance.squared_norms(vectors),
            lambda _: None,
        )

    def recall(self, graph: WrittenGraph, vectors: Vectors, queries: Vectors) -> float:
        """The recall of the candidates that a search ranks exactly."""
        reduction = Reduction(graph.arrays[BASIS]) if graph.arrays else None
        index = HnswIndex(
            "the graph",
            memoryview(graph.path.read_bytes()),
            self.plan().parameters,
            len(vectors),
            vectors.shape[1],
            measured=Breadth.from_json(graph.meta["breadth"]),
            scale=graph.meta.get("code_scale", 0.0),
            reduction=reduction,
        )
        exact = distance.pairwise_sort_keys(self.space, queries, vectors)
        found = [
            np.isin(np.argsort(row)[:K], index.search(query, index.ef(K))[: rescored(K)]).mean()
            for query, row in zip(queries, exact, strict=True)
        ]
        return float(np.mean(found))


@pytest.fixture(params=SPACES)
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Folder:
    return Folder(tmp_path, request.param)


def held_out(vectors: Vectors) -> tuple[Vectors, Vectors]:
    return vectors[:-60], vectors[-60:]


def test_a_graph_of_coordinates_finds_the_neighbours_by_the_vectors(folder: Folder) -> None:
    vectors, queries = held_out(flat(1, 40, rows=ROWS + 60))
    graph = folder.write(vectors)
    assert (graph.role, graph.arrays[BASIS].shape) == ("reduced_graph", (DIMENSION, 96))
    assert folder.recall(graph, vectors, queries) >= 0.98
    assert not list(folder.path.glob("coordinates*"))
    whole = folder.write(vectors[: ROWS // 2])
    assert (whole.role, whole.arrays) == ("graph", {}), "few rows"


def test_vectors_that_vary_in_all_directions_are_whole(folder: Folder) -> None:
    vectors = np.random.default_rng(2).normal(size=(ROWS, DIMENSION)).astype(np.float32)
    graph = folder.write(vectors)
    assert (graph.role, graph.arrays) == ("graph", {})


def test_a_reduction_that_would_lose_neighbours_is_not_used(folder: Folder) -> None:
    """Most of the variance is between far groups, and inside of a group in the other directions."""
    rng = np.random.default_rng(3)
    between = 6 * flat(3, 20, rows=40, noise=0.0)
    inside = rng.normal(size=(ROWS, DIMENSION)) * 0.4
    vectors = (between[rng.integers(40, size=ROWS)] + inside).astype(np.float32)
    assert folder.write(vectors).role == "graph"


def test_an_extended_graph_retains_its_reduction(folder: Folder) -> None:
    vectors, queries = held_out(flat(4, 40, rows=2 * ROWS + 60))
    base = folder.write(vectors[:ROWS])
    plan = folder.plan(base)
    graph = folder.write(vectors, plan)
    assert plan.base_reduction is not None
    assert graph.arrays[BASIS] is plan.base_reduction.basis
    assert folder.recall(graph, vectors, queries) >= 0.98


def test_a_reduction_that_does_not_suffice_for_new_rows_is_replaced(folder: Folder) -> None:
    first, (second, queries) = flat(5, 40), held_out(flat(6, 40, rows=ROWS + 60))
    vectors = np.concatenate([first, second])
    plan = folder.plan(folder.write(first))
    graph = folder.write(vectors, plan)
    assert plan.base_reduction is not None
    assert not graph.arrays or graph.arrays[BASIS] is not plan.base_reduction.basis
    assert folder.recall(graph, vectors, queries) >= 0.98


def test_a_graph_of_whole_vectors_is_extended_as_it_is(folder: Folder) -> None:
    vectors, queries = held_out(flat(7, 40, rows=ROWS + 60))
    base = folder.write(vectors[: ROWS // 4])
    assert base.role == "graph"
    graph = folder.write(vectors, folder.plan(base))
    assert graph.role == "graph"
    assert folder.recall(graph, vectors, queries) >= 0.98
