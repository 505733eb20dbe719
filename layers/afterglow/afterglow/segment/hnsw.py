"""The HNSW graph (Malkov & Yashunin 2016) of a segment: a usearch index over rounded vectors, key = row.

`precision` chooses how vectors are rounded: to i8 (`codes`), to bf16, or not at all. Properties of usearch 2.26 that
shape this module:

* searches on one `Index` wait for each other, so every searching thread uses a view of its own;
* the scalar type must be specified, or it depends on the machine;
* the header of a file specifies its content, and opening it silently overrides the parameters of the `Index`;
* a graph file may be viewed only after its checksum was verified, as an invalid link crashes the process;
* its import takes longer than numpy's, most of it for a progress bar: only what has a graph pays for it.

Distances from the graph are only for ranking: the caller computes exact ones from the float32 vectors.
"""

import math
from collections import deque
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from afterglow.errors import Corrupt
from afterglow.segment import codes, insertion_order, precision, progress
from afterglow.segment.array_file import RESTORE_HINT
from afterglow.segment.breadth import Breadth
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.precision import Rounding, VectorType
from afterglow.segment.progress import OnShare
from afterglow.segment.reduction import Reduction
from afterglow.storage.file_map import release_pages

if TYPE_CHECKING:
    from usearch.compiled import MetricKind
    from usearch.index import Index

DEFAULT_RECALL = 0.98
MAX_EF = 4_096
_BATCHES = 8
_EXTENSION = 1.25
"""Rows that are added later are inserted with so many times the breadth: no tour of all rows led to them."""
_DEFAULT_EF = 128
"""For graphs whose breadth was not measured: those of the first releases."""
_CACHED_KS = 64


@dataclass(frozen=True, slots=True)
class HnswParameters:
    """Parameters of a graph: the space, links per node (M), and the breadth of the two searches (ef).

    `ef_search` 0: the breadth that was measured when the graph was built (`segment.breadth`).
    """

    space: Space
    connectivity: int
    ef_construction: int
    ef_search: int


@dataclass(frozen=True, slots=True)
class HnswBuild:
    """How a graph is built: with `threads`, extending the graph file `extend_from` of the first rows, if any.

    `base_scale` is the scale of the codes in that graph, 0 if it has none, `base_reduction` its reduction. At most
    `chunk_bytes` of mapped vectors are in memory at a time. `recall` is promised, 0 to 1.
    """

    parameters: HnswParameters
    threads: int
    chunk_bytes: int
    extend_from: Path | None = None
    recall: float = DEFAULT_RECALL
    base_scale: float = 0.0
    base_reduction: Reduction | None = None


def build(path: Path, plan: HnswBuild, vectors: Vectors, on_share: OnShare = progress.ignore) -> Rounding:
    """Write a graph of all rows of `vectors` (n, d) to `path`; releases the pages of mapped vectors.

    With `extend_from`, the graph in that file already has the first rows, and the others are added; unless its rounding
    does not suffice for the vectors as a whole: then all rows are inserted again. Neighbours are inserted one after the
    other, by one thread (`segment.insertion_order`). `on_share` receives the share of the rows that are inserted.
    Returns how the vectors are rounded. Raises Corrupt for a graph of another collection.
    """
    dimension, parameters, base = vectors.shape[1], plan.parameters, plan.extend_from
    chunk_rows = max(plan.chunk_bytes // (4 * dimension), 1)
    base_rounding = None
    if base is not None:
        base_rounding = _read_rounding(str(base), str(base), parameters, dimension, plan.base_scale)[0]
    largest = _largest_component(parameters.space, vectors, chunk_rows)
    rounding = precision.choose_rounding(parameters.space, vectors, largest, base_rounding)
    release_pages(vectors)  # the sample may have mapped many more pages than it read
    index = new_index(parameters, dimension, rounding)
    if base_rounding == rounding:
        index.load(str(base))
        index.expansion_add = math.ceil(_EXTENSION * parameters.ef_construction)  # type: ignore[misc]
    batch_rows = max(chunk_rows // _BATCHES, plan.threads)
    base_rows = len(index)
    for start in range(base_rows, len(vectors), chunk_rows):
        chunk = vectors[start : start + chunk_rows]
        for rows in insertion_order.locality_order(chunk):
            for first in range(0, len(rows), batch_rows):
                for batch in insertion_order.thread_parts(rows[first : first + batch_rows], plan.threads):
                    values = _row_values(parameters.space, chunk[batch], rounding)
                    index.add((start + batch).astype(np.uint64), values, threads=plan.threads)
                    on_share((len(index) - base_rows) / (len(vectors) - base_rows))
        release_pages(vectors)
    index.save(str(path))
    return rounding


def _largest_component(space: Space, vectors: Vectors, chunk_rows: int) -> float:
    """The largest absolute component, for cosine at length 1; releases the pages of mapped vectors."""
    largest = 0.0
    for start in range(0, len(vectors), chunk_rows):
        chunk = vectors[start : start + chunk_rows]
        if space is Space.COSINE:
            chunk = codes.unit(chunk)
        largest = max(largest, float(chunk.max()), -float(chunk.min()))
        release_pages(vectors)
    return largest


def rescored(k: int) -> int:
    """How many of the nearest rows by the rounded vectors surely hold the k nearest: rounding moves few rows far."""
    return 3 * k + 12


def _row_values(space: Space, vectors: Vectors, rounding: Rounding) -> Vectors | codes.Codes:
    """Rows in the form in which the graph takes them."""
    return codes.encode_rows(space, vectors, rounding.scale) if rounding.vector_type is VectorType.I8 else vectors


def query_values(space: Space, queries: Vectors, rounding: Rounding) -> Vectors | codes.Codes:
    """Queries in the form in which the graph takes them."""
    return codes.encode_queries(space, queries, rounding.scale) if rounding.vector_type is VectorType.I8 else queries


class HnswIndex:
    """The bytes of a verified graph file; any number of threads search it, through views of their own.

    `buffer` must not change as long as the index lives; the index keeps it alive.
    """

    def __init__(
        self,
        name: str,
        buffer: memoryview,
        parameters: HnswParameters,
        rows: int,
        dimension: int,
        *,
        measured: Breadth | None = None,
        scale: float = 0.0,
        reduction: Reduction | None = None,
    ) -> None:
        """`scale` is that of the graph's codes, 0 if it has none; with a `reduction` it is a graph of coordinates.

        Raises Corrupt, with the file's name, if it is not a graph of `rows` vectors in that space and dimension.
        """
        self._space = parameters.space
        if reduction is not None:
            parameters = replace(parameters, space=Space.L2)
            dimension = reduction.width
        self.reduction = reduction
        """None for a graph of whole vectors."""
        self.rounding, stored_rows = _read_rounding(name, buffer, parameters, dimension, scale)
        if stored_rows != rows:
            raise Corrupt(f"{name} holds {stored_rows} of {rows} vectors; {RESTORE_HINT}")
        self._buffer = buffer
        self._parameters = parameters
        self._dimension = dimension
        self._measured = measured
        self._idle = deque([self._open_view()])
        self._measured_ef = lru_cache(_CACHED_KS)(partial(_ef, measured))

    @property
    def recall_target(self) -> float | None:
        """The recall for which the breadth was measured; None if it was not, or is configured."""
        return None if self._parameters.ef_search or self._measured is None else self._measured.target

    def ef(self, k: int) -> int:
        """The breadth for `k` neighbours: the configured one, or the one measured for the promised recall."""
        if self._parameters.ef_search:
            return self._parameters.ef_search
        return self._measured_ef(k)

    def comparable(self, queries: Vectors) -> Vectors:
        """What the graph compares of the queries (m, d): their coordinates, or the queries themselves; (m, w)."""
        return queries if self.reduction is None else self.reduction.coordinates(self._space, queries)

    def are_outside(self, queries: Vectors) -> codes.Mask | None:
        """Which of the comparable queries (m, w) the graph's rounding represents badly; None for none."""
        if self.rounding.vector_type is not VectorType.I8:
            return None
        return codes.are_outside(self._parameters.space, queries, self.rounding.scale)

    def search(self, query: Vectors, k: int) -> NDArray[np.int64]:
        """Up to `k` rows near the query (d,), nearest first by the rounded vectors; `k` is the breadth, too."""
        (rows,) = self.search_batch(self.comparable(query[np.newaxis]), k)
        return rows

    def search_batch(self, queries: Vectors, k: int) -> list[NDArray[np.int64]]:
        """`search` for each of several comparable queries (m, w), in one call."""
        try:
            view = self._idle.pop()
        except IndexError:
            view = self._open_view()
        try:
            view.expansion_search = k  # type: ignore[misc]
            values = query_values(self._parameters.space, queries, self.rounding)
            # usearch's own `search` makes this call, and takes a tenth of its time around it.
            keys, _, counts, *_ = view._compiled.search_many(values, count=k, threads=1)
        finally:
            self._idle.append(view)
        return [row[:count] for row, count in zip(keys.view(np.int64), counts.tolist(), strict=True)]

    def _open_view(self) -> "Index":
        index = new_index(self._parameters, self._dimension, self.rounding)
        index.view(self._buffer)
        return index


def _ef(measured: Breadth | None, k: int) -> int:
    return _DEFAULT_EF if measured is None else math.ceil(measured.at(k))


def _read_rounding(
    name: str, source: str | memoryview, parameters: HnswParameters, dimension: int, scale: float
) -> tuple[Rounding, int]:
    """How the vectors of the graph in a file or buffer are rounded, and how many there are.

    Raises Corrupt where its header contradicts the parameters, or the scale of its codes.
    """
    from usearch.index import Index

    try:
        metadata = Index.metadata(source) or {}
        rounding = Rounding(VectorType(metadata["kind_scalar"].name.lower()), scale)
    except (KeyError, TypeError, ValueError) as error:  # not a usearch file, or an unsupported scalar type
        raise Corrupt(f"{name} is not a graph: {error}; {RESTORE_HINT}") from error
    if (rounding.vector_type is VectorType.I8) != (scale > 0):
        raise Corrupt(f"{name} does not match the scale {scale} of its codes; {RESTORE_HINT}")
    metric = _metric(rounding.compared(parameters.space))
    if (metadata["kind_metric"], metadata["dimensions"]) != (metric, dimension):
        raise Corrupt(
            f"{name} is a graph of {metadata['dimensions']} dimensions by {metadata['kind_metric'].name}, "
            f"not of {dimension} by {metric.name}; {RESTORE_HINT}"
        )
    return rounding, metadata["count_present"]


def new_index(parameters: HnswParameters, dimension: int, rounding: Rounding) -> "Index":
    """An empty index of vectors that are rounded like this."""
    from usearch.index import Index

    return Index(
        ndim=dimension,
        metric=_metric(rounding.compared(parameters.space)),
        dtype=rounding.vector_type.value,
        connectivity=parameters.connectivity,
        expansion_add=parameters.ef_construction,
        expansion_search=parameters.ef_search or _DEFAULT_EF,
        enable_key_lookups=False,
    )


def _metric(space: Space) -> "MetricKind":
    from usearch.compiled import MetricKind

    return {Space.L2: MetricKind.L2sq, Space.IP: MetricKind.IP, Space.COSINE: MetricKind.Cos}[space]
