"""Vectors in the one form that the stock client's annotations and it itself agree on."""

import numpy as np
from numpy.typing import NDArray


def matrix(*rows: list[float]) -> NDArray[np.float32]:
    """One vector per row."""
    return np.array(rows, dtype=np.float32)
