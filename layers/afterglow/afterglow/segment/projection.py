"""The projection of rows for clustering: in the projected space every distance is a squared Euclidean one.

======  ==================================================  =====================================================
l2      x / u                                               u: the root mean square length of a sample's rows
cosine  x / |x|; a zero vector stays zero                   |a − b|² = 2 (1 − cos)
ip      (x / u, √(M² − |x / u|²)), a query (q / u, 0)       M: the largest norm; Bachrach et al. 2014
======  ==================================================  =====================================================

The mean of the sample is the origin, so that few bits suffice for a coordinate (`segment.lists`). A distance in the
projected space, times u², less M² u² for ip, is comparable with that of another segment (`Projection.comparable`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import distance
from afterglow.segment.distance import Space, Vectors


@dataclass(frozen=True, slots=True)
class Projection:
    """`unit` is u, `bound` is M² (0 unless ip), `origin` float32 (width,) is subtracted last."""

    space: Space
    unit: float
    bound: float
    origin: Vectors

    @property
    def width(self) -> int:
        """The number of projected dimensions."""
        return len(self.origin)

    def rows(self, vectors: Vectors) -> Vectors:
        """Project rows (n, d) to (n, width). Not finite where the squares of a row overflow."""
        with np.errstate(over="ignore", invalid="ignore"):
            projected = self._scaled(vectors)
            if self.space is Space.IP:
                rest = np.sqrt(np.maximum(np.float32(self.bound) - distance.squared_norms(projected), 0))
                projected = np.concatenate([projected, rest[:, np.newaxis]], axis=1)
            result: Vectors = projected - self.origin
            return result

    def query(self, vector: Vectors) -> Vectors:
        """Project a query (d,) to (width,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            projected = self._scaled(vector[np.newaxis])[0]
            if self.space is Space.IP:
                projected = np.append(projected, np.float32(0))
            result: Vectors = projected - self.origin
            return result

    def comparable(self, distances: NDArray[Any]) -> NDArray[np.float64]:
        """Distances in the projected space, in numbers that compare with those of another projection of the space."""
        return (distances.astype(np.float64) - self.bound) * self.unit**2

    def _scaled(self, vectors: Vectors) -> Vectors:
        if self.space is not Space.COSINE:
            divided: Vectors = vectors / np.float32(self.unit)
            return divided
        largest = np.abs(vectors).max(axis=1, keepdims=True)
        scaled = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
        lengths = np.sqrt(distance.squared_norms(scaled))[:, np.newaxis]
        normalized: Vectors = np.divide(scaled, lengths, out=scaled, where=lengths > 0)
        return normalized


def fit(space: Space, sample: Vectors, largest_norm: float) -> Projection | None:
    """The projection of rows like the `sample` (n, d), of squared norms up to `largest_norm`; None if they overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        unit = 1.0
        if space is not Space.COSINE:
            unit = float(np.sqrt(np.mean(np.square(sample.astype(np.float64)).sum(axis=1)))) or 1.0
        width = sample.shape[1] + (space is Space.IP)
        bound = largest_norm / unit**2 if space is Space.IP else 0.0
        raw = Projection(space, unit, bound, np.zeros(width, dtype=np.float32))
        origin = raw.rows(sample).mean(axis=0, dtype=np.float64).astype(np.float32)
    is_finite = np.isfinite(largest_norm) and np.isfinite(np.float32(unit)) and bool(np.isfinite(origin).all())
    return Projection(space, unit, bound, origin) if is_finite and np.float32(unit) > 0 else None
