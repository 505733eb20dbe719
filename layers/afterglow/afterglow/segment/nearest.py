"""Exact nearest rows: by scanning, and by ranking candidates that something else found."""

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import spaces
from afterglow.segment.spaces import Space, Vectors

Rows = NDArray[np.int64]

_CHUNK = 4096
"""Rows gathered at a time: keeps a piece of the product in the processor's cache."""
_SLACK = 16
"""Candidates beyond k that are scored exactly, for the rounding of the estimate."""


def scan(
    space: Space, vectors: Vectors, norms: Vectors, query: Vectors, rows: Rows | None, k: int
) -> tuple[Rows, Vectors]:
    """The k nearest of `rows` (None: of all n) to a query (d,), nearest first, with their exact distances.

    `vectors` is (n, d), `norms` their squared norms (n,). Fewer than k come back only where there are fewer rows.
    """
    if rows is None:
        estimates = spaces.estimate(space, vectors, norms, query)
    else:
        pieces = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        scored = [spaces.estimate(space, vectors[piece], norms[piece], query) for piece in pieces]
        estimates = np.concatenate(scored) if scored else np.empty(0, dtype=np.float32)
    wanted = k + _SLACK
    if wanted < len(estimates):
        best = np.argpartition(estimates, wanted)[:wanted]
    else:
        best = np.arange(len(estimates))
    return rank(space, vectors, query, best if rows is None else rows[best], k)


def rank(space: Space, vectors: Vectors, query: Vectors, rows: Rows, k: int) -> tuple[Rows, Vectors]:
    """The k nearest of `rows` to a query (d,) by exact distance, ties by row, with their distances."""
    distances = spaces.exact(space, vectors[rows], query)
    order = np.lexsort((rows, distances))[:k]
    return rows[order].astype(np.int64, copy=False), distances[order]
