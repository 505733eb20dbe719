"""k-means (Lloyd 1982) over float32 points, by matrix products; the same points give the same centroids.

The first centroids are evenly spread points (golden ratio). A centroid that loses all points moves to the point that is
farthest from its own.
"""

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import distance
from afterglow.segment.distance import Vectors
from afterglow.segment.precision import golden_sample

Numbers = NDArray[np.int64]

_ITERATIONS = 8
_CHUNK_ENTRIES = 1 << 21
"""Entries of a product at a time: 8 MB."""


def train(points: Vectors, count: int) -> Vectors:
    """At most `count` centroids (m, d) of points (n, d); fewer if there are fewer points."""
    centroids = np.array(points[golden_sample(len(points), count)])
    for _ in range(_ITERATIONS):
        nearest, keys = assign(points, centroids)
        sizes = np.bincount(nearest, minlength=len(centroids))
        used = np.flatnonzero(sizes)
        order = np.argsort(nearest, kind="stable")
        firsts = np.concatenate([[0], np.cumsum(sizes[used])[:-1]])
        sums = np.add.reduceat(points[order], firsts, axis=0)
        centroids[used] = sums / sizes[used, np.newaxis].astype(np.float32)
        empty = np.flatnonzero(sizes == 0)
        if len(empty):
            distances = keys + distance.squared_norms(points)
            centroids[empty] = points[np.argpartition(distances, len(points) - len(empty))[len(points) - len(empty) :]]
    return centroids


def assign(points: Vectors, centroids: Vectors) -> tuple[Numbers, Vectors]:
    """The nearest centroid of each point, int64 (n,), and its distance less the point's squared norm, float32 (n,)."""
    norms = distance.squared_norms(centroids)
    nearest, best = np.empty(len(points), dtype=np.int64), np.empty(len(points), dtype=np.float32)
    step = max(_CHUNK_ENTRIES // len(centroids), 1)
    for start in range(0, len(points), step):
        keys = distance.l2_sort_keys(points[start : start + step], centroids, norms)
        chunk = np.argmin(keys, axis=1)
        nearest[start : start + step] = chunk
        best[start : start + step] = keys[np.arange(len(chunk)), chunk]
    return nearest, best
