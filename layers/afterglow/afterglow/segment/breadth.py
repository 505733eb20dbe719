"""The breadth of an index: how much of it a search must visit for the promised recall; measured when it is built.

A sample of the segment's rows is searched exactly, and in the index with growing breadth. The least breadth that finds
the target share of the true neighbours is stored with the segment, for several k from 1 to 1,000 (at most half of the
rows): a segment that is one of several holds few of the neighbours that a query looks for. Between these k it is
interpolated, as a power of k; beyond them it grows in proportion to k.

Of lists not all queries need the same number: for most the true neighbours are in the nearest few lists, and it is the
query between many lists that needs many. So their breadth is two numbers: at most so many lists, and only those whose
centroid is at most so much farther than the nearest one (`limits`). For a query far outside of the rows all differences
of squared distances are as much larger as it is farther than usual (`remoteness`).
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import distance
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.precision import golden_sample

Rows = NDArray[np.int64]

KS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000)
_LEAST_WIDTH = 10
_CHUNK_ROWS = 8_192
_CAPS = (1.0, 1.25, 1.5, 2.0)
_MAX_TIED = 100
_TIE = np.float32(1e-6)
"""Distances that differ by less, relatively, are equal: rounding."""


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
        above = bisect_right(self.ks, k)
        if not above:
            return self.values[0]
        least, most = self.ks[above - 1], self.ks[above]
        share = math.log(k / least) / math.log(most / least)
        return float(self.values[above - 1] ** (1 - share) * self.values[above] ** share)

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


def remoteness(nearest: float, usual: float) -> float:
    """How much farther than usual a query is, at least 1: `nearest` is its squared distance to the nearest list."""
    return max(nearest / usual, 1.0) ** 0.5 if usual > 0 else 1.0


def limits(ranks: Rows, distances: Sequence[Vectors], usual: float, share: float) -> tuple[float, float]:
    """How many lists to probe at most, and how much farther than the nearest, to find this share of the neighbours.

    `ranks` int64 (m, k): how many lists each neighbour needs; `distances`: of all lists to each of the m queries. Of
    the pairs that suffice it is the one with the fewest lists a query, mean and median counting alike; the second is
    at least the smallest positive number, and for a remote query to be multiplied by its remoteness. `usual` is the
    usual squared distance to the nearest list.
    """
    least = least_sufficient(ranks, share)
    caps = [min(int(np.ceil(least * factor)), len(distances[0])) for factor in _CAPS]
    nearest = np.stack([np.partition(values, caps[-1] - 1)[: caps[-1]] for values in distances])
    nearest.sort(axis=1)
    factors = [remoteness(float(first), usual) for first in nearest[:, 0]]
    nearest = (nearest - nearest[:, :1]) / np.array(factors, dtype=np.float32)[:, np.newaxis]
    excess = np.take_along_axis(nearest, np.minimum(ranks, caps[-1]) - 1, axis=1)
    best, fewest = (least, float(nearest.max())), np.inf
    for cap in caps:
        within = least_sufficient(np.where(ranks <= cap, excess, np.inf), share)
        probed = np.minimum(np.count_nonzero(nearest <= within, axis=1), cap)
        cost = float(probed.mean() + np.median(probed))
        if cost < fewest:
            best, fewest = (float(cap), within), cost
    return best[0], max(best[1], float(np.finfo(np.float32).tiny))


def ascending_in_ties(needed: NDArray[Any], distances: Vectors) -> NDArray[Any]:
    """What each neighbour needs, (m, k), ascending among those of the first (m, j ≤ k) that are equally far.

    Any of them counts as found, so the ones that are found first do.
    """
    count = distances.shape[1]
    tolerance = _TIE * np.abs(distances[:, :-1])
    groups = np.zeros(distances.shape, dtype=np.int64)
    np.cumsum(np.diff(distances, axis=1) > tolerance, axis=1, out=groups[:, 1:])
    order = np.lexsort((needed[:, :count], groups), axis=1)
    return np.concatenate([np.take_along_axis(needed, order, axis=1), needed[:, count:]], axis=1)


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows of a segment, (m,), and the exact nearest other rows of each, (m, k), nearest first.

    `distances` float32 (m, ≤ 100) are those of the nearest.
    """

    rows: Rows
    neighbors: Rows
    distances: Vectors

    def depths(self) -> Sequence[int]:
        """The values of k that can be measured: at least one."""
        width = self.neighbors.shape[1]
        return [*(k for k in KS if k < width), width]


def exact_sample(space: Space, vectors: Vectors, norms: Vectors, size: int) -> Sample | None:
    """The neighbours of about `size` evenly spread rows of vectors (n, d); None for fewer than two rows.

    At most half of the rows count as neighbours, and at most 1,000.
    """
    count = len(vectors)
    k = max(min(KS[-1], count // 2), min(_LEAST_WIDTH, count - 1))
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
    neighbors = np.take_along_axis(neighbors, order, axis=1)
    exact = np.empty((len(rows), min(k, _MAX_TIED)), dtype=np.float32)
    for position, nearest in enumerate(neighbors[:, :_MAX_TIED]):
        found = distance.exact_distances(space, vectors[nearest], queries[position])
        order_of_found = np.argsort(found, kind="stable")
        exact[position] = found[order_of_found]
        neighbors[position, :_MAX_TIED] = nearest[order_of_found]
    return Sample(rows, neighbors, exact)


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
