"""In which kind of number a graph holds its vectors: bf16, unless that would lose neighbours.

bf16 keeps 8 bits of a value. Half the memory and half the time of float32 cost nothing where vectors differ by more
than that, as embeddings do, for the candidates are scored again exactly. Where all vectors lie close together and far
from the origin (coordinates of one city, timestamps), many round to the same point, and the graph cannot tell them
apart. So a graph is built in float32

* for up to 16 dimensions, where the links outweigh the values: it is no slower, and at most a fifth larger;
* where, among a sample of the vectors, the nearest 12 by bf16 miss more than 1 in 100 of the exact nearest 10.

The sample depends on the number of vectors only, and the answer does not on their scale.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import distance
from afterglow.segment.distance import Space, Vectors

_FEW_DIMENSIONS = 16
_QUERIES = 64
_OTHERS = 4_096
_NEAREST = 10
_CANDIDATES = 12
"""Far fewer than a search takes: neighbours in a sample are further apart, and easier to tell, than among all."""
_LEAST_RECALL = 0.99
_GOLDEN = (5**0.5 - 1) / 2
_NOISE = 2.0**-46
"""Relative error of a distance from a matrix product in float64: those closer to each other count as equal."""


class VectorType(StrEnum):
    """Kinds of number, by their names in usearch."""

    BF16 = "bf16"
    F32 = "f32"


def choose_vector_type(space: Space, vectors: Vectors) -> VectorType:
    """The kind of number for a graph of vectors (n, d); reads some thousand of them."""
    if vectors.shape[1] <= _FEW_DIMENSIONS:
        return VectorType.F32
    return VectorType.BF16 if rounding_recall(space, vectors) >= _LEAST_RECALL else VectorType.F32


def rounding_recall(space: Space, vectors: Vectors) -> float:
    """The share of exact nearest neighbours, 0 to 1, that are left when a sample of vectors (n, d) is rounded."""
    sample = vectors[_golden_sample(len(vectors), _QUERIES + _OTHERS)]
    is_query = np.zeros(len(sample), dtype=np.bool_)
    is_query[_golden_sample(len(sample), min(_QUERIES, len(sample) // 2))] = True
    queries, others = sample[is_query], sample[~is_query]
    if len(others) <= _CANDIDATES:
        return 1.0
    true = _sort_keys(space, queries, others)
    with np.errstate(over="ignore", invalid="ignore"):  # the largest values round to infinity: nothing is near then
        seen = _sort_keys(space, rounded(queries), rounded(others))
    noise = _NOISE * _magnitude(space, queries, others)
    is_near = true <= _smallest(true, _NEAREST) + noise
    last = _smallest(seen, _CANDIDATES)
    is_seen, is_last = seen < last - noise, np.abs(seen - last) <= noise
    # Which of the candidates at the very same distance a graph returns is chance.
    places = (_CANDIDATES - is_seen.sum(axis=1)) / np.maximum(is_last.sum(axis=1), 1)
    found = (is_near & is_seen).sum(axis=1) + (is_near & is_last).sum(axis=1) * places
    return float(np.minimum(found, _NEAREST).mean() / _NEAREST)


def rounded(vectors: Vectors) -> Vectors:
    """Vectors as bf16 holds them: to the nearest, ties to even."""
    bits = vectors.view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return nearest.view(np.float32)


def _golden_sample(count: int, wanted: int) -> NDArray[np.int64]:
    """`wanted` of `count` rows, ascending, evenly spread but in step with no period; all where there are fewer."""
    if wanted >= count:
        return np.arange(count)
    return np.unique((np.arange(wanted) * _GOLDEN % 1 * count).astype(np.int64))


def _sort_keys(space: Space, queries: Vectors, others: Vectors) -> NDArray[np.float64]:
    """What orders the neighbours, (m, n): the distances, but for ip without the 1 that would drown small products."""
    if space is Space.IP:
        return -(queries.astype(np.float64) @ others.astype(np.float64).T)
    return distance.pairwise_distances(space, queries, others)


def _magnitude(space: Space, queries: Vectors, others: Vectors) -> float:
    """How large the terms of a distance are."""
    if space is Space.COSINE:
        return 1.0
    largest = max(float(np.abs(queries).max()), float(np.abs(others).max()))
    return float(4 * queries.shape[1] * largest**2)


def _smallest(distances: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The distance of the `count`-th nearest, (m, 1), of (m, n)."""
    return np.partition(distances, count - 1, axis=1)[:, count - 1 : count]
