"""The vector type of a graph: bf16, unless that would lose neighbours.

bf16 has 8 significant bits. It halves the memory and the time of float32 at no cost if vectors differ by more than
that, as embeddings do, because the candidates are reranked exactly. If all vectors lie close together and far from the
origin (coordinates of one city, timestamps), many round to the same point, and the graph cannot distinguish them. So a
graph is built in float32

* for up to 16 dimensions, where the links outweigh the values: it is no slower, and at most a fifth larger;
* if, in a sample of the vectors, the nearest 12 by bf16 miss more than 1 in 100 of the exact nearest 10.

The sample depends only on the number of vectors, and the result does not depend on their scale.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import distance
from afterglow.segment.distance import Space, Vectors

_FEW_DIMENSIONS = 16
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

    BF16 = "bf16"
    F32 = "f32"


def choose_vector_type(space: Space, vectors: Vectors) -> VectorType:
    """The vector type for a graph of vectors (n, d); reads some thousand of them."""
    if vectors.shape[1] <= _FEW_DIMENSIONS:
        return VectorType.F32
    return VectorType.BF16 if rounding_recall(space, vectors) >= _LEAST_RECALL else VectorType.F32


def rounding_recall(space: Space, vectors: Vectors) -> float:
    """The share of exact nearest neighbours, 0 to 1, that remain when a sample of vectors (n, d) is rounded."""
    sample = vectors[golden_sample(len(vectors), _QUERIES + _OTHERS)]
    is_query = np.zeros(len(sample), dtype=np.bool_)
    is_query[golden_sample(len(sample), min(_QUERIES, len(sample) // 2))] = True
    queries, others = sample[is_query], sample[~is_query]
    if len(others) <= _CANDIDATES:
        return 1.0
    exact = distance.pairwise_sort_keys(space, queries, others)
    with np.errstate(over="ignore", invalid="ignore"):  # the largest values round to infinity, and have no neighbours
        approximate = distance.pairwise_sort_keys(space, rounded(queries), rounded(others))
    noise = _NOISE * _magnitude(space, queries, others)
    is_neighbor = exact <= _smallest(exact, _K) + noise
    last = _smallest(approximate, _CANDIDATES)
    is_candidate, is_tied = approximate < last - noise, np.abs(approximate - last) <= noise
    # A graph returns a random choice of the candidates at exactly the same distance.
    tied_share = (_CANDIDATES - is_candidate.sum(axis=1)) / np.maximum(is_tied.sum(axis=1), 1)
    hits = (is_neighbor & is_candidate).sum(axis=1) + (is_neighbor & is_tied).sum(axis=1) * tied_share
    return float(np.minimum(hits, _K).mean() / _K)


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
