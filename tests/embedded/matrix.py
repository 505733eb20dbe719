"""Vectors in the only form that satisfies both the annotations of Chroma's client and its validation."""

import numpy as np
from numpy.typing import NDArray


def matrix(*rows: list[float]) -> NDArray[np.float32]:
    """One vector per row."""
    return np.array(rows, dtype=np.float32)
