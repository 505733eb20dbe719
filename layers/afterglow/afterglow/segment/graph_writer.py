"""Writes the graph of a new segment.

1. Find the reduction of its vectors, if there is one (`segment.reduction`), and write their coordinates to a temporary
   file. A graph that is extended retains its own, as long as it suffices for all rows; otherwise all are inserted anew.
2. Insert the rows (`segment.hnsw`).
3. Measure the breadth that the promised recall needs (`segment.graph_breadth`): of the candidates by their coordinates
   in the graph the true neighbours by the vectors.

A graph of coordinates is a file of another role, `reduced_graph`: a release that does not know it ignores it, and scans
the segment.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from afterglow.segment import array_file, breadth, distance, graph_breadth, hnsw, progress, reduction
from afterglow.segment.array_file import ArrayStream
from afterglow.segment.breadth import Sample
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.hnsw import HnswBuild
from afterglow.segment.manifest import GRAPH, REDUCED_GRAPH
from afterglow.segment.progress import OnShare
from afterglow.segment.reduction import BASIS, Reduction
from afterglow.storage.file_map import release_pages

_SAMPLE = 128
_INSERTION_SHARE = 0.75
"""The share of the time that it takes to insert the rows into a graph, and not to measure it; from 0.5 to 0.95."""
_COORDINATES = "coordinates"


@dataclass(frozen=True, slots=True)
class WrittenGraph:
    """The role and the path of the graph's file, and what the file `rows` says about it: `meta` and `arrays`."""

    role: str
    path: Path
    meta: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Coordinates:
    reduction: Reduction
    vectors: Vectors


def write(
    path_of: Callable[[str], Path], plan: HnswBuild, vectors: Vectors, norms: Vectors, on_share: OnShare
) -> WrittenGraph:
    """Write the graph of `vectors` (n, d), mapped, whose squared norms are `norms`.

    `path_of` gives the path of a new file.
    """
    sample = breadth.exact_sample(plan.parameters.space, vectors, norms, _SAMPLE)
    release_pages(vectors)
    scratch = path_of(_COORDINATES)
    try:
        coordinates = _coordinates(scratch, plan, vectors, sample)
        if (None if coordinates is None else coordinates.reduction) is not plan.base_reduction:
            plan = replace(plan, extend_from=None, base_scale=0.0)
        return _write(path_of, plan, vectors, coordinates, sample, on_share=on_share)
    finally:
        scratch.unlink(missing_ok=True)


def _write(
    path_of: Callable[[str], Path],
    plan: HnswBuild,
    vectors: Vectors,
    coordinates: _Coordinates | None,
    sample: Sample | None,
    *,
    on_share: OnShare,
) -> WrittenGraph:
    role, arrays = GRAPH, dict[str, NDArray[Any]]()
    if coordinates is not None:
        role, arrays, vectors = REDUCED_GRAPH, {BASIS: coordinates.reduction.basis}, coordinates.vectors
        plan = replace(plan, parameters=replace(plan.parameters, space=Space.L2))
    path = path_of(role)
    rounding = hnsw.build(path, plan, vectors, progress.part(on_share, 0, _INSERTION_SHARE))
    measured = graph_breadth.measure(
        path, plan, rounding, vectors, sample, on_share=progress.part(on_share, _INSERTION_SHARE, 1)
    )
    meta: dict[str, Any] = {"breadth": measured.to_json()}
    if rounding.scale:
        meta["code_scale"] = rounding.scale
    return WrittenGraph(role, path, meta, arrays)


def _coordinates(scratch: Path, plan: HnswBuild, vectors: Vectors, sample: Sample | None) -> _Coordinates | None:
    """The coordinates of all rows by the reduction of the base, or by another one; None if none suffices."""
    space = plan.parameters.space
    possible = [plan.base_reduction] if plan.extend_from is not None else []
    if plan.extend_from is None or plan.base_reduction is not None:
        possible.append(reduction.fit(space, vectors))
        release_pages(vectors)
    for reduced in possible:
        if reduced is not None:
            coordinates = _project(scratch, reduced, space, vectors, plan.chunk_bytes)
            by_coordinates = breadth.exact_sample(Space.L2, coordinates, distance.squared_norms(coordinates), _SAMPLE)
            release_pages(coordinates)
            ranked = {k: hnsw.rescored(k) for k in graph_breadth.MEASURED_KS}
            if reduction.is_sufficient(sample, by_coordinates, ranked):
                return _Coordinates(reduced, coordinates)
    return None


def _project(scratch: Path, reduced: Reduction, space: Space, vectors: Vectors, chunk_bytes: int) -> Vectors:
    """The coordinates (n, w) in a mapped file."""
    chunk_rows = max(chunk_bytes // (4 * vectors.shape[1]), 1)

    def chunks() -> Iterator[Vectors]:
        for start in range(0, len(vectors), chunk_rows):
            yield reduced.coordinates(space, vectors[start : start + chunk_rows])
            release_pages(vectors)

    stream = ArrayStream("<f4", (len(vectors), reduced.width), chunks())
    array_file.write(scratch, _COORDINATES, {}, {_COORDINATES: stream})
    return array_file.map_arrays(scratch, _COORDINATES)[_COORDINATES]
