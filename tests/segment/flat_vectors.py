"""Vectors that vary in few directions, of which graphs compare coordinates."""

import numpy as np

from afterglow.segment.distance import Space, Vectors

ROWS, DIMENSION = 3_200, 192
SPACES = (Space.L2, Space.COSINE)


def flat(seed: int, rank: int, *, rows: int = ROWS, dimension: int = DIMENSION, noise: float = 0.05) -> Vectors:
    """Rows in `rank` directions around a point, and a little in all."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(dimension, rank)))[0].T
    inside = rng.normal(size=(rows, rank)) @ directions
    vectors: Vectors = inside + noise * rng.normal(size=(rows, dimension)) + rng.normal(size=dimension)
    return vectors.astype(np.float32)
