"""Exact nearest rows: by scanning, and by ranking candidates that something else found."""

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import distance
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.row_group import RowGroup

Rows = NDArray[np.int64]

_CHUNK = 4096
"""Rows gathered at a time: keeps a piece of the product in the processor's cache."""
_EPSILON = np.float32(2.0**-24)
_MOST_TIES = 4096
_SLACK = 16
"""Candidates beyond k that are scored exactly, for the rounding of the estimate."""


def knn_scan(part: RowGroup, space: Space, query: Vectors, rows: Rows | None, k: int) -> tuple[Rows, Vectors]:
    """The k nearest of `rows` (None: of all) to a query (d,), nearest first, with their exact distances.

    Fewer than k come back only where there are fewer rows. Ties go by ordinal, also where they decide who is in, up to
    some thousand of them.
    """
    vectors, norms = part.vectors, part.norms
    if rows is None:
        estimates = distance.fast_distances(space, vectors, norms, query)
    else:
        pieces = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        scored = [distance.fast_distances(space, vectors[piece], norms[piece], query) for piece in pieces]
        estimates = np.concatenate(scored) if scored else np.empty(0, dtype=np.float32)
    best = _candidates(space, query, estimates, norms if rows is None else norms[rows], k)
    return rerank(part, space, query, best if rows is None else rows[best], k)


def rerank(part: RowGroup, space: Space, query: Vectors, rows: Rows, k: int) -> tuple[Rows, Vectors]:
    """The k nearest of `rows` to a query (d,) by exact distance, ties by ordinal, with their distances."""
    pieces = [rows[start : start + _CHUNK] for start in range(0, max(len(rows), 1), _CHUNK)]
    distances = np.concatenate([distance.exact_distances(space, part.vectors[piece], query) for piece in pieces])
    order = np.lexsort((part.row_seqs[rows], distances))[:k]
    return rows[order].astype(np.int64, copy=False), distances[order]


def _candidates(space: Space, query: Vectors, estimates: Vectors, norms: Vectors, k: int) -> Rows:
    """Positions among the estimates that may belong to the k nearest, whatever the rounding."""
    wanted = k + _SLACK
    if wanted >= len(estimates):
        return np.arange(len(estimates))
    best = np.argpartition(estimates, wanted)[:wanted]
    if not k:
        return best
    kth = np.partition(estimates[best], k - 1)[k - 1]
    length = np.sqrt(query @ query)
    # The terms of an estimate may be much larger than their sum, above all for l2, where a row at distance D is no
    # longer than |q| + √D: that bounds its terms, and so the rounding of both its own estimate and the k-th one.
    terms = 2.0
    if space is Space.L2:
        terms = length**2 + (length + np.sqrt(max(kth, 0))) ** 2
    elif space is Space.IP:
        terms = 1 + length * np.sqrt(norms[best].max())
    rounding = (4 + np.sqrt(len(query))) * _EPSILON * terms
    within = np.flatnonzero(estimates <= kth + 2 * rounding)
    is_few = len(within) <= wanted
    # Near twins must all be looked at, equals among very many need not.
    return best if is_few or (space is not Space.L2 and len(within) > _MOST_TIES) else within
