"""Rows for the cold bench: those of a real corpus while it has enough, in random order; else rows as hard to search.

Each made row lies between a base row and one of its nearest neighbours, with noise: recall of an index over them falls
with their number about as it does over subsets of a real corpus. The base is a corpus's embeddings, or vectors of
clusters. The neighbours of 63,000 base rows take a minute of CPU. For fewer dimensions the base is reduced to its
principal components.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.bulk_load import Source
from tests.support.distances import pairwise_squared_l2

Matrix = NDArray[np.float32]

NEIGHBOURS = 200
_BASE_ROWS = 20_000
_BLOCK = 512
_CHUNK = 32_768


class RowMaker:
    """Makes rows of unit length; the same base, dimension and seed make the same rows."""

    def __init__(self, corpus: Path | None, seed: int = 7, dimension: int | None = None) -> None:
        """With a `dimension`, at most that of the base, rows have as many components."""
        self._random = np.random.default_rng(seed)
        self._has_corpus = corpus is not None
        base = Source().take(_BASE_ROWS) if corpus is None else np.load(corpus / "embeddings.npy").astype(np.float32)
        if dimension is not None:
            base = _principal(base, dimension)
        self._base = base / np.linalg.norm(base, axis=1, keepdims=True)

    def take(self, count: int) -> Matrix:
        """Rows, float32, shape (count, d)."""
        if self._has_corpus and count <= len(self._base):
            rows: Matrix = self._base[self._random.permutation(len(self._base))[:count]]
            return rows
        return np.concatenate([*self._chunks(count)])

    def _chunks(self, count: int) -> Iterator[Matrix]:
        random, base, near = self._random, self._base, _nearest(self._base)
        for start in range(0, count, _CHUNK):
            size = min(_CHUNK, count - start)
            first = random.integers(len(base), size=size)
            step = base[near[first, random.integers(NEIGHBOURS, size=size)]] - base[first]
            noise = random.standard_normal(step.shape, dtype=np.float32)
            noise *= np.linalg.norm(step, axis=1, keepdims=True) / np.float32(np.sqrt(step.shape[1]))
            rows = base[first] + random.random((size, 1), dtype=np.float32) * step + noise
            yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _principal(base: Matrix, dimension: int) -> Matrix:
    """The first principal components, (n, dimension)."""
    centred = base - base.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    components: Matrix = centred @ vectors[:, : -dimension - 1 : -1]
    return components


def _nearest(base: Matrix) -> NDArray[np.int32]:
    near = np.empty((len(base), NEIGHBOURS), dtype=np.int32)
    for start in range(0, len(base), _BLOCK):
        closeness = base[start : start + _BLOCK] @ base.T
        near[start : start + _BLOCK] = np.argpartition(-closeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    return near


class Truth:
    """The exact neighbours of queries among rows, for tie-aware recall."""

    def __init__(self, rows: Matrix, queries: Matrix, k: int) -> None:
        self._rows, self._queries, self._k = rows, queries, k
        self._norms = np.einsum("ij,ij->i", rows, rows)

    def recall(self, number: int, found: list[int], mask: NDArray[np.bool_] | None = None) -> float:
        """The share of the k nearest rows, of those that `mask` allows, that the rows `found` reach by distance."""
        (distances,) = pairwise_squared_l2(self._queries[number : number + 1], self._rows, self._norms)
        if mask is not None:
            distances = np.where(mask, distances, np.inf)
        k = min(self._k, int(np.isfinite(distances).sum()))
        bound = np.partition(distances, k - 1)[k - 1] + 2e-6
        return float((distances[found] <= bound).sum()) / k
