"""The HNSW graph of a segment: a usearch index over bf16 or float32 vectors (see `precision`), key = row.

Facts that shape this module (usearch 2.26): searches on one `Index` wait for each other, so every searching thread
takes a view of its own; the scalar kind must be named, or it depends on the machine; a file says in its header what it
holds, and opening it silently replaces what the `Index` was made for; a graph file may only be viewed after its
checksum was compared, for a bad link is a crash. Distances from here are only for ranking: the caller computes exact
ones from the float32 vectors.
"""

from dataclasses import dataclass
from pathlib import Path
from queue import Empty, LifoQueue

import numpy as np
from numpy.typing import NDArray
from usearch.compiled import MetricKind
from usearch.index import Index

from afterglow.errors import Corrupt
from afterglow.segment import insertion_order, precision
from afterglow.segment.array_file import RESTORE_HINT, release_pages
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.precision import VectorType

_BATCHES = 8
_METRICS = {Space.L2: MetricKind.L2sq, Space.IP: MetricKind.IP, Space.COSINE: MetricKind.Cos}


@dataclass(frozen=True, slots=True)
class HnswParameters:
    """How a graph is built and searched: the space, links a node, and the breadth of the two searches."""

    space: Space
    connectivity: int
    ef_construction: int
    ef_search: int


@dataclass(frozen=True, slots=True)
class HnswBuild:
    """How a graph is built: with `threads`, on top of the graph file `base` of the first rows, if any.

    `piece_bytes` of mapped vectors are in memory at a time.
    """

    parameters: HnswParameters
    threads: int
    chunk_bytes: int
    extend_from: Path | None = None


def build(path: Path, plan: HnswBuild, vectors: Vectors) -> None:
    """Write a graph of all rows of `vectors` (n, d) to `path`; mapped vectors are out of memory afterwards.

    With `base`, the graph in that file holds the first rows already, and is extended by the others; unless it is in
    bf16, which with the others no longer does: then all rows are inserted anew. Neighbours go in one after the other
    (`segment.insertion_order`), and in large batches, of which each thread takes a stretch of its own: threads that insert
    neighbours at the same moment do not see each other. Raises Corrupt for a base of another collection.
    """
    dimension, parameters, base = vectors.shape[1], plan.parameters, plan.extend_from
    held = None if base is None else _header(str(base), str(base), parameters, dimension).scalar
    scalar = VectorType.F32 if held is VectorType.F32 else precision.choose_vector_type(parameters.space, vectors)
    release_pages(vectors)  # the sample may have brought in much more than it looked at
    index = _index(parameters, dimension, scalar)
    if held is scalar:
        index.load(str(base))
        index.expansion_add = parameters.ef_construction  # type: ignore[misc]
    most = max(plan.chunk_bytes // (4 * dimension), 1)
    at_once = max(most // _BATCHES, plan.threads)
    for start in range(len(index), len(vectors), most):
        piece = vectors[start : start + most]
        for rows in insertion_order.locality_order(piece, is_new=not start):
            for first in range(0, len(rows), at_once):
                some = rows[first : first + at_once]
                index.add((start + some).astype(np.uint64), piece[some], threads=plan.threads)
        release_pages(vectors)
    index.save(str(path))


class HnswIndex:
    """The bytes of a verified graph file, searched by any number of threads through views of them.

    `buffer` must stay as it is for as long as the Graph lives; the Graph keeps it alive.
    """

    def __init__(self, name: str, buffer: memoryview, parameters: HnswParameters, rows: int, dimension: int) -> None:
        """Raises Corrupt, with the file's name, where it is not a graph of so many vectors in that space."""
        header = _header(name, buffer, parameters, dimension)
        if header.rows != rows:
            raise Corrupt(f"{name} holds {header.rows} of {rows} vectors; {RESTORE_HINT}")
        self._buffer = buffer
        self._parameters = parameters
        self._dimension = dimension
        self.scalar = header.scalar
        self._idle: LifoQueue[Index] = LifoQueue()
        self._idle.put(self._view())

    def search(self, query: Vectors, count: int) -> NDArray[np.int64]:
        """Up to `count` rows near the query (d,), nearest first as far as its kind of number tells."""
        try:
            view = self._idle.get_nowait()
        except Empty:
            view = self._view()
        try:
            view.expansion_search = max(self._parameters.ef_search, count)  # type: ignore[misc]
            rows: NDArray[np.int64] = view.search(query, count, threads=1).keys.astype(np.int64)
            return rows
        finally:
            self._idle.put(view)

    def _view(self) -> Index:
        index = _index(self._parameters, self._dimension, self.scalar)
        index.view(self._buffer)
        return index


@dataclass(frozen=True, slots=True)
class _Header:
    scalar: VectorType
    rows: int


def _header(name: str, source: str | memoryview, parameters: HnswParameters, dimension: int) -> _Header:
    """What the graph in a file or buffer says it is, checked against what it is to be."""
    try:
        found = Index.metadata(source) or {}
        scalar = VectorType(found["kind_scalar"].name.lower())
    except (KeyError, TypeError, ValueError) as error:  # usearch knows no such file, or we no such kind of number
        raise Corrupt(f"{name} is not a graph: {error}; {RESTORE_HINT}") from error
    metric = _METRICS[parameters.space]
    if (found["kind_metric"], found["dimensions"]) != (metric, dimension):
        raise Corrupt(
            f"{name} is a graph of {found['dimensions']} dimensions by {found['kind_metric'].name}, "
            f"not of {dimension} by {metric.name}; {RESTORE_HINT}"
        )
    return _Header(scalar, found["count_present"])


def _index(parameters: HnswParameters, dimension: int, scalar: VectorType) -> Index:
    return Index(
        ndim=dimension,
        metric=_METRICS[parameters.space],
        dtype=scalar.value,
        connectivity=parameters.connectivity,
        expansion_add=parameters.ef_construction,
        expansion_search=parameters.ef_search,
        enable_key_lookups=False,
    )
