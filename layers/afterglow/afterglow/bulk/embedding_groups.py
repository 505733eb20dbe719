"""Embeddings of several rows at once, which is a quarter faster than row by row: they are checked by one comparison.

They are packed row by row, as numpy takes longer to make an array of lists.
"""

import struct
from collections.abc import Sequence
from typing import Any

from afterglow.bulk.row_values import RowError, are_numbers, encode_embedding, float32_struct

GROUP_ROWS = 32
"""Parsed rows are some kilobytes each: those of a larger group would not stay in the processor's cache."""


def encode_embeddings(values: Sequence[Any], dimension: int) -> list[bytes | RowError]:
    """The embedding of each row as `encode_embedding` returns it, or the error that it raises."""
    return _pack_lists(values, dimension) or [_encode(value, dimension) for value in values]


def _encode(value: Any, dimension: int) -> bytes | RowError:
    try:
        return encode_embedding(value, dimension)
    except RowError as error:
        return error


def _pack_lists(values: Sequence[Any], dimension: int) -> list[bytes | RowError] | None:
    """The embeddings if each row has a list of so many numbers, else None."""
    if not dimension or set(map(type, values)) != {list} or set(map(len, values)) != {dimension}:
        return None
    pack = float32_struct(dimension).pack
    try:
        packed = [pack(*value) for value in values]
    except (struct.error, OverflowError):
        return None
    return list(packed) if are_numbers(values, b"".join(packed)) else None
