"""Exact nearest neighbours: by a scan, and by reranking the candidates of another search."""

import numpy as np
from numpy.typing import NDArray

from afterglow.segment import distance
from afterglow.segment.distance import Space, Vectors
from afterglow.segment.row_group import RowGroup
from afterglow.segment.scan_codes import ScanBound

Rows = NDArray[np.int64]

_CHUNK = 4096
"""Rows gathered at a time, so that a chunk of the product stays in the processor's cache."""
_BLOCK_ESTIMATES = 1 << 23
"""Distances that are estimated at a time, 32 MB."""
_EPSILON = np.float32(2.0**-24)
_MAX_TIES = 4096
_MOST_WITHOUT_CODES = 0.4
"""Above this share of rows without codes a scan of all vectors is faster: those of some rows are gathered first."""
_SLACK = 16
"""Candidates beyond k whose distances are computed exactly, against the rounding of the estimate."""


def knn_scan(
    group: RowGroup, space: Space, query: Vectors, rows: Rows | None, k: int, *, bound: ScanBound | None = None
) -> tuple[Rows, Vectors]:
    """The k nearest of `rows`, ascending (None: of all), to a query (d,), nearest first, with their exact distances.

    Fewer than k only if there are fewer rows, or if the `bound` of the scans for the same query before says that others
    are nearer. Ties are broken by insertion order, also at the k-th place (up to 4,096 ties).
    """
    vectors, norms = group.vectors, group.norms
    rows = _possible(group, space, query, rows, bound or ScanBound(k))
    if rows is None:
        estimates = distance.fast_distances(space, vectors, norms, query)
    else:
        chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        scored = [distance.fast_distances(space, vectors[chunk], norms[chunk], query) for chunk in chunks]
        estimates = np.concatenate(scored) if scored else np.empty(0, dtype=np.float32)
    best = _candidates(space, query, estimates, norms if rows is None else norms[rows], k)
    return rerank(group, space, query, best if rows is None else rows[best], k)


def _possible(group: RowGroup, space: Space, query: Vectors, rows: Rows | None, bound: ScanBound) -> Rows | None:
    """Those of `rows` (None: of all) that may be among the k nearest by their codes; `rows` if that does not help.

    Rows are in ascending order. The last ones may have no codes yet: all of those are possible.
    """
    codes = None if group.scan_codes is None else group.scan_codes.at_scan(group.vectors, group.norms)
    if codes is None:
        return rows
    if rows is None:
        coded, others = None, np.arange(codes.rows, group.rows)
    else:
        coded, others = np.split(rows, [np.searchsorted(rows, codes.rows)])
    if len(others) > _MOST_WITHOUT_CODES * (group.rows if rows is None else len(rows)):
        return rows
    found = codes.possible(space, query, coded, bound)
    if found is None or len(found) > _MAX_TIES:
        return rows
    found = found if coded is None else coded[found]
    return np.concatenate([found, others]) if len(others) else found


def knn_scan_batch(
    group: RowGroup, space: Space, queries: Vectors, rows: Rows | None, k: int
) -> list[tuple[Rows, Vectors]]:
    """`knn_scan` for each of several queries (m, d), which read the vectors together."""
    count = group.rows if rows is None else len(rows)
    block = max(_BLOCK_ESTIMATES // max(count, 1), 1)
    results = []
    for first in range(0, len(queries), block):
        several = queries[first : first + block]
        estimates = _estimates(group, space, several, rows)
        norms = group.norms if rows is None else group.norms[rows]
        for query, row in zip(several, estimates, strict=True):
            best = _candidates(space, query, row, norms, k)
            results.append(rerank(group, space, query, best if rows is None else rows[best], k))
    return results


def _estimates(group: RowGroup, space: Space, queries: Vectors, rows: Rows | None) -> Vectors:
    """Approximate distances (m, n) of `rows` (None: of all) to the queries (m, d)."""
    if rows is None:
        return distance.fast_pairwise_distances(space, group.vectors, group.norms, queries)
    estimates = np.empty((len(queries), len(rows)), dtype=np.float32)
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        estimates[:, start : start + _CHUNK] = distance.fast_pairwise_distances(
            space, group.vectors[chunk], group.norms[chunk], queries
        )
    return estimates


def rerank(group: RowGroup, space: Space, query: Vectors, rows: Rows, k: int) -> tuple[Rows, Vectors]:
    """The k nearest of `rows` to a query (d,) by exact distance, ties by insertion order, with their distances."""
    if len(rows) <= _CHUNK:
        distances = distance.exact_distances(space, group.vectors[rows], query)
    else:
        chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        distances = np.concatenate([distance.exact_distances(space, group.vectors[chunk], query) for chunk in chunks])
    order = np.lexsort((group.row_seqs[rows], distances))[:k]
    return rows[order].astype(np.int64, copy=False), distances[order]


def _candidates(space: Space, query: Vectors, estimates: Vectors, norms: Vectors, k: int) -> Rows:
    """Positions in the estimates that may belong to the k nearest, whatever the rounding."""
    count = k + _SLACK
    if count >= len(estimates):
        return np.arange(len(estimates))
    best = np.argpartition(estimates, count)[:count]
    if not k:
        return best
    kth = np.partition(estimates[best], k - 1)[k - 1]
    length = np.sqrt(query @ query)
    # The terms of an estimate may be much larger than their sum, above all for l2. There a row at distance D has a norm
    # of at most |q| + √D: that bounds its terms, and so the rounding of both its own estimate and the k-th one.
    terms = 2.0
    if space is Space.L2:
        terms = length**2 + (length + np.sqrt(max(kth, 0))) ** 2
    elif space is Space.IP:
        terms = 1 + length * np.sqrt(norms[best].max())
    rounding = (4 + np.sqrt(len(query))) * _EPSILON * terms
    possible = np.flatnonzero(estimates <= kth + 2 * rounding)
    is_few = len(possible) <= count
    # Almost equal distances must all be computed exactly; among very many equal ones that is not needed.
    return best if is_few or (space is not Space.L2 and len(possible) > _MAX_TIES) else possible
