"""Dense vectors: numbers within float32, and base64 of little-endian float32."""

import binascii
import re

import numpy as np
from numpy.typing import NDArray

NUMBER_TYPES = frozenset({int, float})
"""Exact types of JSON numbers; bool is none of them."""
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_FLOAT32_OVERFLOW = 2.0**128 - 2.0**103
"""Rounding to nearest float32 gives infinity from here on (IEEE 754)."""
_BASE64 = re.compile("[A-Za-z0-9+/]*={0,2}")
_LAST_OF_ONE_BYTE = "AQgw"
_LAST_OF_TWO_BYTES = "AEIMQUYcgkosw048"


class InvalidBase64(Exception):
    """The string is not base64. `position` is the offset of the wrong symbol, None if the padding is wrong.

    `is_last` marks the last symbol of padded base64 with bits set beyond the last byte.
    """

    def __init__(self, position: int | None, *, is_last: bool = False) -> None:
        super().__init__(position)
        self.position = position
        self.is_last = is_last


def fits_float32(number: float) -> bool:
    """Whether the number is finite after rounding to float32. NaN is not."""
    return -_FLOAT32_OVERFLOW < number < _FLOAT32_OVERFLOW


def decode_base64(text: str) -> bytes:
    """The bytes of a base64 string in its only valid form: padded, bits beyond the last byte zero.

    Otherwise two strings would mean the same vector. Raises InvalidBase64.
    """
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        valid = _BASE64.match(text)
        assert valid is not None
        raise InvalidBase64(valid.end() if valid.end() < len(text) else None) from None
    if text.endswith("="):
        last = text.rstrip("=")[-1]
        if last not in (_LAST_OF_ONE_BYTE if text.endswith("==") else _LAST_OF_TWO_BYTES):
            raise InvalidBase64(text.index("=") - 1, is_last=True)
    return raw


def finite_rows(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the vectors (n, d) have finite components only, as a mask (n,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        # One pass without a temporary matrix: the sum of squares is finite unless a component is not, or is huge.
        squares = np.einsum("ij,ij->i", vectors, vectors)
    finite: NDArray[np.bool_] = np.isfinite(squares)
    for row in np.flatnonzero(~finite).tolist():
        finite[row] = np.isfinite(vectors[row]).all()
    return finite
