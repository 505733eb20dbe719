"""Distances as Chroma defines them, over rows of float32 vectors; the only place with these formulas.

============  ==============================================
l2            Σ(a−b)², squared, no root
ip            1 − a·b
cosine        1 − a·b / (|a||b|), and 1 where either is zero
============  ==============================================
"""

from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", np.float32, np.float64)

Vectors = NDArray[np.float32]


class Space(StrEnum):
    """The distance function of a collection."""

    L2 = "l2"
    IP = "ip"
    COSINE = "cosine"


def squared_norms(vectors: Vectors) -> Vectors:
    """Squared norms, float32 (n,), of vectors (n, d)."""
    sums: Vectors = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float32)
    return sums


def fast_distances(space: Space, vectors: Vectors, norms: Vectors, query: Vectors) -> Vectors:
    """Distances of (n, d) vectors with squared norms `norms` (n,) to a query (d,), by one matrix product.

    For l2 the terms cancel, so that vectors close to each other may come out in the wrong order: `exact_distances`
    decides among the first few.
    """
    products: Vectors = vectors @ query
    return _from_products(space, products, norms, np.float32(query @ query))


def fast_pairwise_distances(space: Space, vectors: Vectors, norms: Vectors, queries: Vectors) -> Vectors:
    """`fast_distances` (m, n) of (n, d) vectors to several queries (m, d), by one matrix product."""
    query_norms: Vectors = np.einsum("ij,ij->i", queries, queries)
    return _from_products(space, queries @ vectors.T, norms, query_norms[:, np.newaxis])


def exact_distances(space: Space, vectors: Vectors, query: Vectors) -> Vectors:
    """Distances of a few (n, d) vectors to a query (d,), summed in float64, as float32 (n,)."""
    wide, target = vectors.astype(np.float64), query.astype(np.float64)
    if space is Space.L2:
        difference = wide - target
        sums: Vectors = np.einsum("ij,ij->i", difference, difference).astype(np.float32)
        return sums
    norms = np.einsum("ij,ij->i", wide, wide)
    return _from_products(space, wide @ target, norms, target @ target).astype(np.float32)


def pairwise_distances(space: Space, queries: Vectors, vectors: Vectors) -> NDArray[np.float64]:
    """Distances (m, n) of each query (m, d) to each of the vectors (n, d), by one matrix product in float64."""
    targets, wide = queries.astype(np.float64), vectors.astype(np.float64)
    norms, query_norms = np.einsum("ij,ij->i", wide, wide), np.einsum("ij,ij->i", targets, targets)
    return _from_products(space, targets @ wide.T, norms, query_norms[:, np.newaxis])


def pairwise_sort_keys(space: Space, queries: Vectors, vectors: Vectors) -> NDArray[np.float64]:
    """Numbers (m, n) that sort like the distances; for ip without the 1, which would absorb small products."""
    if space is Space.IP:
        return -(queries.astype(np.float64) @ vectors.astype(np.float64).T)
    return pairwise_distances(space, queries, vectors)


def l2_sort_keys(vectors: Vectors, targets: Vectors, target_norms: Vectors) -> Vectors:
    """Numbers (n, m) that sort the targets (m, d) of each vector (n, d) like their l2 distances, in float32."""
    keys: Vectors = vectors @ (np.float32(-2) * targets).T
    keys += target_norms
    return keys


def from_inner_products(products: NDArray[F]) -> NDArray[F]:
    """The ip distances of vectors with these inner products."""
    return 1 - products


def _from_products(space: Space, products: NDArray[F], norms: NDArray[F], norm: F | NDArray[F]) -> NDArray[F]:
    match space:
        case Space.L2:
            return norms - 2 * products + norm
        case Space.IP:
            return from_inner_products(products)
        case Space.COSINE:
            scale = np.sqrt(norms * norm)
            are_vectors = scale > 0
            cosines: NDArray[F]
            if are_vectors.all():
                cosines = products / scale
            else:
                cosines = np.divide(products, scale, out=np.zeros_like(products), where=are_vectors)
            return 1 - cosines
