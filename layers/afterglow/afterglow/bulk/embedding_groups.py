"""Embeddings of several rows at once, which is a quarter faster than row by row.

Packing takes booleans for numbers, as 0.0 and 1.0, so these components are looked up in the row that they come from.
For a single row that costs more than packing does; over the packed rows of a group it is one comparison.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from afterglow.bulk.row_values import RowError, encode_embedding, float32_struct
from afterglow.records.embeddings import NUMBER_TYPES

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
        packed: list[bytes | RowError] = [pack(*value) for value in values]
    except (struct.error, OverflowError):
        return None
    components = np.frombuffer(b"".join(packed), dtype="<f4")  # type: ignore[arg-type]
    suspects = np.flatnonzero((components == 0) | (components == 1))
    rows, columns = (numbers.tolist() for numbers in np.divmod(suspects, dimension))
    types = {type(values[row][column]) for row, column in zip(rows, columns, strict=True)}
    return packed if types <= NUMBER_TYPES else None
