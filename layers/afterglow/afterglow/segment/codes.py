"""Vectors in 8 bits a component, for a graph: whole numbers from -127 to 127.

A code is the component times a scale, rounded. Candidates are ranked by the codes, so scales may differ where a ranking
does not depend on them:

======  =======================================  ==============================
space   scale of the rows                        scale of a query
======  =======================================  ==============================
l2      one for all rows of a graph              that of the rows
ip      one for all rows of a graph              its own, which sorts the same
cosine  one for all rows, at length 1            its own
cosine  each row its own (`OWN_SCALE`)           its own
======  =======================================  ==============================

A scale of its own maps the largest component to 127. The scale of all rows leaves room for larger components
(`HEADROOM`), so that rows that are added later rarely need another one. Rows of length 1 are compared by their inner
product, which is faster than by the cosine: that divides by the lengths of the codes. Their scale suits ordinary rows,
so that the few components that are larger are cut (`MOST_CUT`); where some are much larger than usual, all rows get a
coarser scale, and `segment.precision` finds whether each row needs its own. A query for l2 with a component outside the
codes is shrunk into them. That changes the order only as far as the lengths of the rows differ, and the caller searches
more of the graph for it (`are_outside`).
"""

import numpy as np
from numpy.typing import NDArray

from afterglow.segment.distance import Space, Vectors

Codes = NDArray[np.int8]
Mask = NDArray[np.bool_]

LARGEST = 127
HEADROOM = 1.25
OWN_SCALE = 1.0
"""Stands for a scale of each row's own."""
_UNIT_HEADROOM = 1.1
MOST_CUT = 1.5
"""How many times larger than the codes a component of a row of length 1 is at most."""
_SMALLEST, _GREATEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def scale_for(largest: float) -> float:
    """The scale for rows whose largest absolute component this is; 0 if float32 has no such scale."""
    if not 0 < largest < np.inf:
        return 0.0
    scale = LARGEST / (HEADROOM * largest)
    return float(np.float32(scale)) if _SMALLEST <= scale <= _GREATEST else 0.0


def unit_scale(usual: float, largest: float) -> float:
    """The scale for rows of length 1 whose largest absolute components are usually and at most these; 0 without any."""
    reach = max(_UNIT_HEADROOM * usual, largest / MOST_CUT)
    return float(np.float32(LARGEST / reach)) if reach else 0.0


def fits(space: Space, largest: float, scale: float) -> bool:
    """Whether rows whose largest absolute component this is, at length 1 for cosine, have codes with this scale."""
    if space is Space.COSINE:
        return scale == OWN_SCALE or largest * scale <= MOST_CUT * LARGEST + 0.5
    return largest * scale < LARGEST + 0.5


def are_at_unit_length(space: Space, scale: float) -> bool:
    """Whether rows are encoded at length 1, to be compared by their inner product."""
    return space is Space.COSINE and scale != OWN_SCALE


def encode_rows(space: Space, vectors: Vectors, scale: float) -> Codes:
    """The codes, int8 (n, d), of rows (n, d); `scale` is that of all rows, or `OWN_SCALE`."""
    if are_at_unit_length(space, scale):
        return _one_scale(unit(vectors), scale)
    return _own_scale(vectors) if space is Space.COSINE else _one_scale(vectors, scale)


def encode_queries(space: Space, queries: Vectors, scale: float) -> Codes:
    """The codes, int8 (m, d), of queries (m, d), to compare with those of rows of this `scale`."""
    if space is not Space.L2:
        return _own_scale(queries)
    values = _one_scale(queries, scale)
    outside = are_outside(space, queries, scale)
    if outside is not None:
        values[outside] = _own_scale(queries[outside])
    return values


def are_outside(space: Space, queries: Vectors, scale: float) -> Mask | None:
    """Which of the queries (m, d) are shrunk, because one of their components has no code; None for none."""
    if space is not Space.L2:
        return None
    largest = np.abs(queries).max(axis=1).astype(np.float64)
    outside: Mask = largest * scale >= LARGEST + 0.5
    return outside if outside.any() else None


def unit(vectors: Vectors) -> Vectors:
    """The vectors (n, d) at length 1; zeros stay."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    # Divided first: the squares of small and large components would leave float32.
    scaled: Vectors = np.divide(vectors, np.where(largest > 0, largest, 1), dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, np.newaxis]
    np.divide(scaled, lengths, out=scaled, where=lengths > 0)
    return scaled


def _one_scale(vectors: Vectors, scale: float) -> Codes:
    with np.errstate(over="ignore"):
        scaled: Vectors = vectors * np.float32(scale)
    np.clip(scaled, -LARGEST, LARGEST, out=scaled)
    return _rounded(scaled)


def _own_scale(vectors: Vectors) -> Codes:
    # Divided first: the quotient of small components would overflow.
    if len(vectors) == 1:  # a query, for which each operation of numpy counts
        scaled: Vectors = vectors / (np.abs(vectors).max() or np.float32(1))
    else:
        largest = np.abs(vectors).max(axis=1, keepdims=True)
        scaled = np.divide(vectors, np.where(largest > 0, largest, 1), dtype=np.float32)
    scaled *= np.float32(LARGEST)
    return _rounded(scaled)


def _rounded(scaled: Vectors) -> Codes:
    return np.rint(scaled, out=scaled).astype(np.int8)
