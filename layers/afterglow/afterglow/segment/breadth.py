"""The breadth of an index: how much of it a search must visit for the promised recall; measured when it is built.

A sample of the segment's rows is searched exactly, and in the index with growing breadth. The least breadth that finds
the target share of the true neighbours is stored with the segment, for several k from 10 to 1,000 (at most half of the
rows). Between them it is interpolated, as a power of k; beyond them it grows in proportion to k.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import distance
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.precision import golden_sample

Rows = NDArray[np.int64]

KS = (10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000)
_CHUNK_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class Breadth:
    """For each of `ks` (ascending) the breadth that reaches the recall `target`."""

    target: float
    ks: tuple[int, ...]
    values: tuple[float, ...]

    def at(self, k: float) -> float:
        """The breadth for `k` neighbours."""
        if k >= self.ks[-1]:
            return self.values[-1] * k / self.ks[-1]
        return float(np.exp(np.interp(np.log(max(k, 1)), np.log(self.ks), np.log(self.values))))

    def to_json(self) -> dict[str, Any]:
        """For the header of a file."""
        return {"target": self.target, "ks": list(self.ks), "values": list(self.values)}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Breadth":
        """The inverse of `to_json`. Raises KeyError, TypeError, ValueError."""
        ks, values = tuple(map(int, value["ks"])), tuple(map(float, value["values"]))
        if not ks or len(ks) != len(values) or min(ks) < 1 or min(values) <= 0 or list(ks) != sorted(set(ks)):
            raise ValueError("the breadth of an index is not a table")
        return Breadth(float(value["target"]), ks, values)


def least_sufficient(needed: NDArray[Any], target: float) -> float:
    """The least value that is enough for the `target` share of the cases, of which each needs a value, (n,)."""
    ordered = np.sort(needed, axis=None)
    return float(ordered[min(max(int(np.ceil(target * len(ordered))), 1), len(ordered)) - 1])


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows of a segment, (m,), and the exact nearest other rows of each, (m, k), nearest first."""

    rows: Rows
    neighbors: Rows

    def depths(self) -> Sequence[int]:
        """The values of k that can be measured: at least one."""
        width = self.neighbors.shape[1]
        return [*(k for k in KS if k < width), width]


def exact_sample(space: Space, vectors: Vectors, norms: Vectors, size: int) -> Sample | None:
    """The neighbours of about `size` evenly spread rows of vectors (n, d); None for fewer than two rows.

    At most half of the rows count as neighbours, and at most 1,000.
    """
    count = len(vectors)
    k = max(min(KS[-1], count // 2), min(KS[0], count - 1))
    if k < 1:
        return None
    rows = golden_sample(count, size)
    queries = np.array(vectors[rows])
    query_norms = distance.squared_norms(queries)[:, np.newaxis]
    best = np.full((len(rows), k), np.inf, dtype=np.float32)
    neighbors = np.zeros((len(rows), k), dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for start in range(0, count, _CHUNK_ROWS):
            chunk = vectors[start : start + _CHUNK_ROWS]
            keys = _sort_keys(space, queries @ chunk.T, norms[start : start + _CHUNK_ROWS], query_norms)
            own = (rows >= start) & (rows < start + len(chunk))
            keys[np.flatnonzero(own), rows[own] - start] = np.inf
            worst = best.max(axis=1)
            for position in np.flatnonzero(keys.min(axis=1) < worst).tolist():
                closer = np.flatnonzero(keys[position] < worst[position])
                merged = np.concatenate([best[position], keys[position, closer]])
                smallest = np.argpartition(merged, k - 1)[:k]
                neighbors[position] = np.concatenate([neighbors[position], closer + start])[smallest]
                best[position] = merged[smallest]
    order = np.argsort(best, axis=1, kind="stable")
    return Sample(rows, np.take_along_axis(neighbors, order, axis=1))


def _sort_keys(space: Space, products: Vectors, norms: Vectors, query_norms: Vectors) -> Vectors:
    """Numbers (m, n) that sort the rows of each query by distance, from their inner products."""
    match space:
        case Space.L2:
            keys: Vectors = norms - 2 * products
            return keys
        case Space.IP:
            return -products
        case Space.COSINE:
            scale = np.sqrt(norms * query_norms)
            cosines: Vectors = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
            return -cosines
