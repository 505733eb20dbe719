"""The vector type of a graph: the smallest one that does not lose neighbours.

The candidates of a graph are reranked exactly, so its vectors may be rounded as long as their order hardly changes.

* **i8**, a byte for each component (`segment.codes`), takes a quarter of the memory of float32, and half of the time of
  bf16 to search and to build. It suffices for most embeddings. From 96 dimensions on; below, the links outweigh it.
* **bf16** has 8 significant bits for each component. It suffices unless all vectors lie close together and far from the
  origin (coordinates of one city, timestamps): then many round to the same point.
* **float32** otherwise, and for up to 16 dimensions, where it is no slower, and at most a fifth larger.

A type suffices if, in a sample of the vectors, the nearest 12 by the rounded vectors miss at most 1 in 100 of the exact
nearest 10. The sample depends only on the number of vectors, and the result does not depend on their scale.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import codes, distance
from afterglow.segment.distance import Space, Vectors

_FEW_DIMENSIONS = 16
_CODE_DIMENSIONS = 96
"""From so many dimensions on vectors may be rounded to i8."""
_QUERIES = 64
_OTHERS = 4_096
_K = 10
_CANDIDATES = 12
"""Far fewer than a search has: neighbours in a sample are further apart, and easier to distinguish, than in all."""
_LEAST_RECALL = 0.99
_GOLDEN = (5**0.5 - 1) / 2
_NOISE = 2.0**-46
"""Relative error of a distance from a matrix product in float64: smaller differences count as equal."""


class VectorType(StrEnum):
    """Scalar types, by their names in usearch."""

    I8 = "i8"
    BF16 = "bf16"
    F32 = "f32"


@dataclass(frozen=True, slots=True)
class Rounding:
    """The vector type of a graph, and for i8 the scale of its codes (`segment.codes`)."""

    vector_type: VectorType
    scale: float = 0.0

    def compared(self, space: Space) -> Space:
        """The space in which rounded vectors are compared."""
        is_i8 = self.vector_type is VectorType.I8
        return Space.IP if is_i8 and codes.are_at_unit_length(space, self.scale) else space


def choose_rounding(space: Space, vectors: Vectors, largest: float, base: Rounding | None = None) -> Rounding:
    """The rounding for a graph of vectors (n, d), whose largest component (for cosine at length 1) is `largest`.

    `base` is that of a graph that will be extended if it suffices for all vectors. Reads some thousand of them.
    """
    if vectors.shape[1] <= _FEW_DIMENSIONS:
        return Rounding(VectorType.F32)
    if base is not None and base.vector_type is VectorType.F32:
        return base
    is_i8 = base is None or base.vector_type is VectorType.I8
    possible = []
    if vectors.shape[1] >= _CODE_DIMENSIONS and is_i8:
        if base is not None and codes.fits(space, largest, base.scale):
            possible.append(base)
        possible += [Rounding(VectorType.I8, scale) for scale in _scales(space, vectors, largest) if scale]
    possible.append(Rounding(VectorType.BF16))
    for rounding in possible:
        if rounding_recall(space, vectors, rounding) >= _LEAST_RECALL:
            return rounding
    return Rounding(VectorType.F32)


def _scales(space: Space, vectors: Vectors, largest: float) -> list[float]:
    """The scales of codes that may suit the vectors, the fastest first; 0 for none."""
    if space is not Space.COSINE:
        return [codes.scale_for(largest)]
    sample = codes.unit(vectors[golden_sample(len(vectors), _OTHERS)])
    usual = float(np.median(np.abs(sample).max(axis=1))) if len(sample) else 0.0
    return [codes.unit_scale(usual, largest), codes.OWN_SCALE]


def rounding_recall(space: Space, vectors: Vectors, rounding: Rounding) -> float:
    """The share of exact nearest neighbours, 0 to 1, that remain when a sample of vectors (n, d) is rounded."""
    sample = vectors[golden_sample(len(vectors), _QUERIES + _OTHERS)]
    is_query = np.zeros(len(sample), dtype=np.bool_)
    is_query[golden_sample(len(sample), min(_QUERIES, len(sample) // 2))] = True
    queries, others = sample[is_query], sample[~is_query]
    if len(others) <= _CANDIDATES:
        return 1.0
    exact = distance.pairwise_sort_keys(space, queries, others)
    round_queries, round_others = _rounders(space, rounding)
    rounded_queries, rounded_others = round_queries(queries), round_others(others)
    compared = rounding.compared(space)
    with np.errstate(over="ignore", invalid="ignore"):  # the largest values round to infinity, and have no neighbours
        approximate = distance.pairwise_sort_keys(compared, rounded_queries, rounded_others)
        approximate_noise = _NOISE * _magnitude(compared, rounded_queries, rounded_others)
    noise = _NOISE * _magnitude(space, queries, others)
    is_neighbor = exact <= _smallest(exact, _K) + noise
    last = _smallest(approximate, _CANDIDATES)
    is_candidate = approximate < last - approximate_noise
    is_tied = np.abs(approximate - last) <= approximate_noise
    # A graph returns a random choice of the candidates at exactly the same distance.
    tied_share = (_CANDIDATES - is_candidate.sum(axis=1)) / np.maximum(is_tied.sum(axis=1), 1)
    hits = (is_neighbor & is_candidate).sum(axis=1) + (is_neighbor & is_tied).sum(axis=1) * tied_share
    return float(np.minimum(hits, _K).mean() / _K)


def _rounders(space: Space, rounding: Rounding) -> tuple[Callable[[Vectors], Vectors], Callable[[Vectors], Vectors]]:
    """What rounds queries, and what rounds rows."""
    if rounding.vector_type is VectorType.BF16:
        return rounded, rounded
    scale = rounding.scale
    return (
        lambda queries: codes.encode_queries(space, queries, scale).astype(np.float32),
        lambda rows: codes.encode_rows(space, rows, scale).astype(np.float32),
    )


def rounded(vectors: Vectors) -> Vectors:
    """Vectors rounded to bf16: to the nearest, ties to even."""
    bits = vectors.view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return nearest.view(np.float32)


def golden_sample(count: int, size: int) -> NDArray[np.int64]:
    """`size` of `count` rows, ascending, evenly spread but without a period (golden ratio); all if there are fewer."""
    if size >= count:
        return np.arange(count)
    return np.unique((np.arange(size) * _GOLDEN % 1 * count).astype(np.int64))


def _magnitude(space: Space, queries: Vectors, others: Vectors) -> float:
    """An upper bound of the terms of a distance."""
    if space is Space.COSINE:
        return 1.0
    largest = max(float(np.abs(queries).max()), float(np.abs(others).max()))
    return float(4 * queries.shape[1] * largest**2)


def _smallest(distances: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The distance of the `count`-th nearest, (m, 1), of (m, n)."""
    return np.partition(distances, count - 1, axis=1)[:, count - 1 : count]
