"""The HNSW graph of a segment: a usearch index over bf16 vectors, key = row.

Facts that shape this module (usearch 2.26): searches on one `Index` wait for each other, so every searching thread
takes a view of its own; the scalar kind must be named, or it depends on the machine; a graph file may only be viewed
after its checksum was compared, for a bad link is a crash. Distances from here are only for ranking: the caller
computes exact ones from the float32 vectors.
"""

from dataclasses import dataclass
from pathlib import Path
from queue import Empty, LifoQueue

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

from afterglow.segment.spaces import Space, Vectors

_METRICS = {Space.L2: "l2sq", Space.IP: "ip", Space.COSINE: "cos"}
_SCALAR = "bf16"
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class GraphParameters:
    """How a graph is built and searched: the space, links a node, and the breadth of the two searches."""

    space: Space
    connectivity: int
    ef_construction: int
    ef_search: int


def build(path: Path, parameters: GraphParameters, vectors: Vectors, threads: int, base: Path | None = None) -> None:
    """Write a graph of all rows of `vectors` (n, d) to `path`.

    With `base`, the graph in that file holds the first rows already, and is extended by the others. The vectors are
    handed over in large pieces, of which each thread takes a stretch of its own: threads that insert neighbours at
    the same moment do not see each other, and rows next to each other often are neighbours.
    """
    index = _index(parameters, vectors.shape[1])
    if base is not None:
        index.load(str(base))
        index.expansion_add = parameters.ef_construction  # type: ignore[misc]
    for start in range(len(index), len(vectors), _PIECE):
        piece = vectors[start : start + _PIECE]
        index.add(np.arange(start, start + len(piece), dtype=np.uint64), piece, threads=threads)
    index.save(str(path))


class Graph:
    """The bytes of a verified graph file, searched by any number of threads through views of them.

    `buffer` must stay as it is for as long as the Graph lives; the Graph keeps it alive.
    """

    def __init__(self, buffer: memoryview, parameters: GraphParameters, dimension: int) -> None:
        self._buffer = buffer
        self._parameters = parameters
        self._dimension = dimension
        self._idle: LifoQueue[Index] = LifoQueue()
        self._idle.put(self._view())

    def search(self, query: Vectors, count: int) -> NDArray[np.int64]:
        """Up to `count` rows near the query (d,), nearest first as far as bf16 tells."""
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
        index = _index(self._parameters, self._dimension)
        index.view(self._buffer)
        return index


def _index(parameters: GraphParameters, dimension: int) -> Index:
    return Index(
        ndim=dimension,
        metric=_METRICS[parameters.space],
        dtype=_SCALAR,
        connectivity=parameters.connectivity,
        expansion_add=parameters.ef_construction,
        expansion_search=parameters.ef_search,
        enable_key_lookups=False,
    )
