"""The reduction of a graph's vectors: their coordinates along the directions in which they differ most.

Embeddings vary in far fewer directions than they have dimensions. So a graph of their leading principal components
(Pearson 1901, "On lines and planes of closest fit") compares fewer bytes and finds the same candidates, which are
ranked by the whole vectors. Of 63,436 texts 192 directions of 384 hold 93 % of the variance: the graph took 7.4 s of
CPU instead of 8.3, finding the directions included, and 21.6 MB instead of 33.8; a search took 190 µs instead of 246,
and its candidates held .9908 of the true neighbours instead of .9894.

The directions are eigenvectors of the covariance of a sample, for cosine of rows at length 1. The coordinates are
compared by l2. There is no reduction for ip: graphs of products find less where lengths differ.

A reduction is used where it loses nothing (`is_sufficient`): for some rows the nearest of all rows are found among as
many candidates by their coordinates as a search ranks exactly. Otherwise the graph is one of the whole vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from afterglow.segment import codes
from afterglow.segment.breadth import Sample
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.precision import golden_sample

BASIS = "basis"
"""The array of the file `rows` with the basis of a reduction."""
_SHARE = 0.92
"""The share of the variance in the directions."""
_STEP, _LEAST_WIDTH = 32, 96
_MOST_SHARE = 2 / 3
"""More directions of all are not worth it."""
_MOST_DIMENSIONS = 1_536
"""The eigenvectors of more take longer than they save."""
_SAMPLE = 4_096
_ROWS_PER_DIMENSION = 16
"""Fewer rows take less time to insert than to find the directions."""
_LEAST_FOUND = 0.995


@dataclass(frozen=True, slots=True, eq=False)
class Reduction:
    """`basis` float32 (d, w): orthonormal columns."""

    basis: Vectors

    @property
    def width(self) -> int:
        """The number of directions."""
        return int(self.basis.shape[1])

    def coordinates(self, space: Space, vectors: Vectors) -> Vectors:
        """The coordinates (n, w) of rows or queries (n, d)."""
        with np.errstate(over="ignore", invalid="ignore"):
            result: Vectors = (codes.unit(vectors) if space is Space.COSINE else vectors) @ self.basis
            return result


def fit(space: Space, vectors: Vectors) -> Reduction | None:
    """The reduction of vectors (n, d) like these, of which it reads some thousand; None where it would save too little.

    None also for ip, few rows, many dimensions, and squares that overflow.
    """
    count, dimension = vectors.shape
    most = int(dimension * _MOST_SHARE)
    if (
        space is Space.IP
        or dimension > _MOST_DIMENSIONS
        or most < _LEAST_WIDTH
        or count < _ROWS_PER_DIMENSION * dimension
    ):
        return None
    sample: Vectors = np.array(vectors[golden_sample(count, _SAMPLE)])
    with np.errstate(over="ignore", invalid="ignore"):
        if space is Space.COSINE:
            sample = codes.unit(sample)
        sample -= sample.mean(axis=0)
        moments = sample.T @ sample
    if not np.isfinite(moments).all():
        return None
    values, directions = np.linalg.eigh(moments.astype(np.float64))
    shares = np.cumsum(np.maximum(values[::-1], 0))
    if not shares[-1] > 0:
        return None
    needed = int(np.searchsorted(shares, _SHARE * shares[-1])) + 1
    width = max(-(-needed // _STEP) * _STEP, _LEAST_WIDTH)
    if width > most:
        return None
    return Reduction(np.ascontiguousarray(directions[:, : -width - 1 : -1], dtype=np.float32))


def is_sufficient(exact: Sample | None, reduced: Sample | None, candidates: Mapping[int, int]) -> bool:
    """Whether the nearest rows are found by their coordinates, for the same rows of a segment in both samples.

    `exact` has the neighbours by the vectors, `reduced` those by the coordinates. `candidates` says of some k how many
    of these a search ranks.
    """
    if exact is None or reduced is None:
        return False
    for k, count in candidates.items():
        found = [
            np.isin(near[:k], rows[:count]).mean()
            for near, rows in zip(exact.neighbors, reduced.neighbors, strict=True)
        ]
        if np.mean(found) < _LEAST_FOUND:
            return False
    return True
