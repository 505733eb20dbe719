"""Embeddings as they come over the wire, to numpy float32.

A list of rows, each a list of numbers or, in a write, a base64 string of little-endian float32; the two do not mix.
The schema is checked first (InvalidBody, 422), values later (InvalidArgument, 400), because Chroma looks up the
collection in between. Both are vectorised: the types of all items in one set, whether all numbers are finite in one
expression. The rules of base64 and float32 are those of `afterglow.records.embeddings`; the texts here are Chroma's.
"""

import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterglow.api.validation.json_body import schema_error, type_error
from afterglow.api.validation.number_rows import NumberRows
from afterglow.errors import InvalidArgument, LimitExceeded
from afterglow.records.embeddings import LARGEST_FLOAT32, NUMBER_TYPES, InvalidBase64, decode_base64


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Float32 vectors of shape (m, dimension), and which of the request's rows they are (None: all in order)."""

    vectors: NDArray[np.float32] | None
    rows: NDArray[np.int64] | None = None


def check_shape(value: Any, *, nulls: bool) -> None:
    """Refuse what is no list of embeddings; with `nulls`, rows may be null. Raises InvalidBody."""
    if isinstance(value, NumberRows):
        return
    variant = "UpdateEmbeddingsPayload" if nulls else "EmbeddingsPayload"
    if not _has_shape(value, nulls=nulls):
        raise schema_error("embeddings", f"data did not match any variant of untagged enum {variant}")


def are_complete(value: list[Any] | NumberRows | None) -> bool:
    """Whether the embeddings of a write are present, and none of them is null."""
    return isinstance(value, NumberRows) or (value is not None and None not in value)


def parse_embeddings(value: list[Any] | NumberRows) -> Embeddings:
    """The vectors of a write whose shape was checked. Raises InvalidArgument."""
    if isinstance(value, NumberRows):
        return Embeddings(value.vectors)
    rows = None
    present_rows = value
    if None in value:
        present = [index for index, row in enumerate(value) if row is not None]
        rows = np.array(present, dtype=np.int64)
        present_rows = [value[index] for index in present]
    if not present_rows:
        return Embeddings(None)
    return Embeddings(_from_base64(present_rows) if type(present_rows[0]) is str else _from_numbers(present_rows), rows)


def parse_queries(value: Any, max_vectors: int) -> NDArray[np.float32]:
    """The vectors of a query, shape (m, dimension), m at most `max_vectors`.

    Raises InvalidBody, LimitExceeded, InvalidArgument.

    Infinite components become the largest float32, so that a distance may overflow but is never undefined.
    """
    if isinstance(value, NumberRows):
        check_query_count("query_embeddings", len(value), max_vectors)
        return value.vectors
    if type(value) is not list:
        raise type_error("query_embeddings", value, "a sequence")
    check_query_count("query_embeddings", len(value), max_vectors)
    for index, row in enumerate(value):
        check_query(row, f"query_embeddings[{index}]")
    if not value:
        return np.empty((0, 0), dtype=np.float32)
    if len(set(map(len, value))) > 1:
        raise InvalidArgument("Inconsistent dimensions in provided embeddings")
    return to_queries(value)


def check_query(row: Any, path: str) -> None:
    """Refuse what is no list of numbers. Raises InvalidBody."""
    if type(row) is not list:
        raise type_error(path, row, "a sequence")
    if not NUMBER_TYPES.issuperset(map(type, row)):
        wrong = next(i for i, number in enumerate(row) if type(number) not in NUMBER_TYPES)
        raise type_error(f"{path}[{wrong}]", row[wrong], "f32")


def to_queries(rows: list[Any]) -> NDArray[np.float32]:
    """The vectors, shape (m, dimension), of lists of equally many numbers. Raises InvalidArgument."""
    if len(rows) == 1:
        # Several times faster than numpy, which looks at every object twice. An overflow may be clipped.
        with suppress(OverflowError, struct.error):
            return np.frombuffer(struct.pack(f"<{len(rows[0])}f", *rows[0]), dtype="<f4")[np.newaxis]
    return np.clip(_matrix(rows), -LARGEST_FLOAT32, LARGEST_FLOAT32)


def check_query_count(field: str, count: int, most: int) -> None:
    """Raises LimitExceeded for more vectors or texts in one query than `most`."""
    if count > most:
        raise LimitExceeded(
            f"{field} has {count} items, one query may have {most} (AFTERGLOW_MAX_QUERY_VECTORS); send several queries"
        )


def from_arrays(rows: Sequence[Any]) -> Embeddings:
    """The vectors of a write whose rows are sequences of numbers or arrays, or None. Raises InvalidArgument."""
    present = [index for index, row in enumerate(rows) if row is not None]
    if not present:
        return Embeddings(None)
    with np.errstate(over="ignore"):
        matrix = _from_bytes([np.asarray(rows[index], dtype="<f4").tobytes() for index in present])
    return Embeddings(matrix, None if len(present) == len(rows) else np.array(present, dtype=np.int64))


def queries_from_arrays(rows: Sequence[Any]) -> NDArray[np.float32]:
    """`parse_queries` of rows that are sequences of numbers or arrays. Raises InvalidBody, InvalidArgument."""
    with np.errstate(over="ignore"):
        vectors = [np.asarray(row, dtype=np.float32) for row in rows]
    for index in range(len(rows)):
        wrong = np.flatnonzero(~np.isfinite(np.asarray(rows[index], dtype=np.float64)))
        if len(wrong):
            # JSON has no such numbers: clients send null.
            raise type_error(f"query_embeddings[{index}][{wrong[0]}]", None, "f32")
    if len({vector.shape for vector in vectors}) > 1:
        raise InvalidArgument("Inconsistent dimensions in provided embeddings")
    if not vectors:
        return np.empty((0, 0), dtype=np.float32)
    return np.clip(np.stack(vectors), -LARGEST_FLOAT32, LARGEST_FLOAT32)


def _has_shape(value: Any, *, nulls: bool) -> bool:
    if type(value) is not list:
        return False
    kinds = set(map(type, value))
    if nulls:
        kinds.discard(type(None))
        value = [row for row in value if row is not None]
    if kinds == {list}:
        return NUMBER_TYPES.issuperset(map(type, chain.from_iterable(value)))
    return not kinds or kinds == {str}


def _from_numbers(rows: list[list[float]]) -> NDArray[np.float32]:
    lengths = set(map(len, rows))
    _refuse_empty(lengths)
    if len(lengths) > 1:
        # Two faults are possible; Chroma reports an infinite value before a wrong dimension.
        _refuse_infinite(_matrix([list(chain.from_iterable(rows))]))
        raise InvalidArgument("Inconsistent dimensions in provided embeddings")
    matrix = _matrix(rows)
    _refuse_infinite(matrix)
    return matrix


def _from_base64(rows: list[str]) -> NDArray[np.float32]:
    return _from_bytes([_decode(row) for row in rows])


def _from_bytes(decoded: list[bytes]) -> NDArray[np.float32]:
    """The matrix of rows of little-endian float32."""
    whole = np.frombuffer(b"".join(decoded), dtype="<f4")
    if not np.isfinite(whole).all():
        _refuse_not_finite(decoded)
    lengths = set(map(len, decoded))
    _refuse_empty(lengths)
    if len(lengths) > 1:
        raise InvalidArgument("Inconsistent dimensions in provided embeddings")
    return whole.reshape(len(decoded), -1)


def _decode(row: str) -> bytes:
    try:
        raw = decode_base64(row)
    except InvalidBase64 as invalid:
        raise InvalidArgument(f"Invalid base64 string: {_base64_error(row, invalid)}") from None
    if len(raw) % 4:
        raise InvalidArgument(
            f"Invalid byte length: {len(raw)} bytes cannot be converted to f32 values (must be divisible by 4)"
        )
    return raw


def _base64_error(row: str, invalid: InvalidBase64) -> str:
    if invalid.position is None:
        return "Invalid padding"
    symbol = row[invalid.position].encode()[0]
    return f"Invalid {'last ' if invalid.is_last else ''}symbol {symbol}, offset {invalid.position}."


def _matrix(rows: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    # Numbers beyond float32 become infinite here, and are refused or clipped by the caller.
    with np.errstate(over="ignore"):
        return np.array(rows, dtype=np.float32)


def _refuse_empty(lengths: set[int]) -> None:
    if 0 in lengths:
        raise InvalidArgument("Validation error: embeddings: Each embedding must have at least 1 dimension")


def _refuse_infinite(matrix: NDArray[np.float32]) -> None:
    if not np.isfinite(matrix).all():
        raise InvalidArgument("Validation error: embeddings: Embeddings must not contain NaN or Infinity values")


def _refuse_not_finite(decoded: list[bytes]) -> None:
    for raw in decoded:
        vector = np.frombuffer(raw, dtype="<f4")
        wrong = np.flatnonzero(~np.isfinite(vector))
        if len(wrong):
            value = float(vector[wrong[0]])
            shown = "NaN" if np.isnan(value) else str(value)
            raise InvalidArgument(f"Non-finite float value at embedding index {wrong[0]}: {shown}")
