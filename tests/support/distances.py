"""The distances of the contract by definition: the reference that the tests and the benchmarks share."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def reference_distances(space: str, query: ArrayLike, vectors: ArrayLike) -> NDArray[np.float64]:
    """Distances (n,) of vectors (n, d) to a query (d,), in float64, without matrix products."""
    a, b = np.asarray(query, dtype=np.float64), np.asarray(vectors, dtype=np.float64)
    match space:
        case "l2":
            distances = ((a - b) ** 2).sum(axis=-1)
        case "ip":
            distances = 1 - (a * b).sum(axis=-1)
        case _:
            scale = np.sqrt((a * a).sum() * (b * b).sum(axis=-1))
            cosines = (a * b).sum(axis=-1) / np.where(scale == 0, 1, scale)
            distances = 1 - np.where(scale == 0, 0, cosines)
    return np.asarray(distances)


def reference_distance(space: str, query: ArrayLike, vector: ArrayLike) -> float:
    """The distance of one vector (d,) to a query (d,)."""
    return float(reference_distances(space, query, np.asarray(vector)[np.newaxis])[0])


def pairwise_squared_l2(queries: NDArray[Any], vectors: NDArray[Any], vector_norms: NDArray[Any] | float) -> Any:
    """Squared L2 distances (m, n) by one matrix product, in the type of the arrays; for many vectors of unit length.

    `vector_norms` are the squared norms of the vectors, (n,) or one number.
    """
    query_norms = (queries * queries).sum(axis=1)
    distances = queries @ vectors.T
    distances *= -2
    distances += vector_norms
    distances += query_norms[:, np.newaxis]
    return distances
