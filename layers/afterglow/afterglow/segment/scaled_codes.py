"""Vectors in 8 bits a component with a scale for each vector, and the inner products of their codes.

The codes are whole numbers from -127 to 127, so the products are exact.
"""

import numkong
import numpy as np
from numpy.typing import NDArray

from afterglow.segment.distance import Vectors

Rows = NDArray[np.int64]

CODE_MAX = 127
_PRODUCTS_AT_ONCE = 2_048
"""Pairs of codes that are gathered at a time, so that they stay in the processor's cache."""


def encode(vectors: Vectors) -> tuple[NDArray[np.int8], Vectors]:
    """Vectors (n, w) as codes i8 (n, w) and a scale for each, float32 (n,): vector ≈ code × scale."""
    largest = np.abs(vectors).max(axis=1)
    scales: Vectors = np.where(largest > 0, largest, np.float32(1)).astype(np.float32) / np.float32(CODE_MAX)
    return np.rint(vectors / scales[:, np.newaxis]).astype(np.int8), scales


def rounded(vectors: Vectors) -> Vectors:
    """The vectors (n, w) as their codes and scales say."""
    codes, scales = encode(vectors)
    result: Vectors = codes * scales[:, np.newaxis]
    return result


def products_by_list(
    codes: NDArray[np.int8], stored: NDArray[np.int8], starts: list[int], lengths: list[int]
) -> NDArray[np.float64]:
    """The exact products of each list's code, of (l, w), with that list's run of stored codes, one after the other."""
    result: NDArray[np.float64] = np.empty(sum(lengths), dtype=np.float64)
    end = 0
    for number, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        if length:
            own = result[np.newaxis, end : end + length]
            numkong.cdist(codes[number : number + 1], stored[start : start + length], "dot", out=own)
            end += length
    return result


def products_by_entry(
    codes: NDArray[np.int8], numbers: Rows, stored: NDArray[np.int8], entries: Rows
) -> NDArray[np.float64]:
    """The exact products of the stored codes of entries (e,) with the codes of their lists, of which `numbers` (e,)."""
    result = np.empty(len(entries), dtype=np.float64)
    for start in range(0, len(entries), _PRODUCTS_AT_ONCE):
        part = slice(start, start + _PRODUCTS_AT_ONCE)
        result[part] = np.asarray(numkong.dot(codes[numbers[part]], stored[entries[part]]))
    return result


def products(code: NDArray[np.int8], codes: NDArray[np.int8]) -> NDArray[np.float64]:
    """The inner products of one code (1, w) with codes (n, w), exact."""
    result: NDArray[np.float64] = np.asarray(numkong.cdist(code, codes, "dot"))[0]
    return result
