"""One row's values: what of them is taken, and the reason where the row is not.

Metadata follows the rules of the wire, but for three kindnesses: null is as if the key were not there (an upsert would
delete it), an empty list likewise, and a number among strings is no reason to refuse a whole file: it is one row's.
"""

import binascii
import struct
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

_AS_THEY_ARE = frozenset({bool, float, str})
_SCALARS = frozenset({bool, float, str, int})
_NUMBERS = frozenset({int, float})
_LEAST_INT, _LARGEST_INT = -(2**63), 2**63 - 1
_LARGEST_U32 = 2**32 - 1
_RESERVED = "chroma:"
_SHOWN = 60


class RowError(Exception):
    """The row is not taken; the text is why."""


def identifier(value: Any) -> str:
    """An id: a string, or a whole number as one."""
    if type(value) is int:
        return str(value)
    if type(value) is not str:
        raise RowError(f"the id is neither a string nor a whole number: {_shown(value)}")
    if not value:
        raise RowError("the id is empty")
    return value


def optional_text(value: Any, what: str) -> str | None:
    """A document or a uri."""
    if value is not None and type(value) is not str:
        raise RowError(f"the {what} is no string: {_shown(value)}")
    return value


@lru_cache(maxsize=8)
def _packing(dimension: int) -> struct.Struct:
    return struct.Struct(f"<{dimension}f")


def encode_embedding(value: Any, dimension: int) -> bytes:
    """An embedding as little-endian float32: of a list of numbers, or of such bytes in base64."""
    if type(value) is str:
        return _of_text(value, dimension)
    if type(value) is not list:
        raise RowError("it has no embedding" if value is None else f"the embedding is no list: {_shown(value)}")
    if len(value) != dimension:
        raise RowError(f"the embedding has {len(value)} dimensions, the collection has {dimension}")
    try:
        return _packing(dimension).pack(*value)
    except struct.error:
        wrong = next(each for each in value if type(each) not in _NUMBERS and type(each) is not bool)
        raise RowError(f"the embedding holds something that is no number: {_shown(wrong)}") from None
    except OverflowError:
        raise RowError("the embedding holds a number beyond 32 bits") from None


def unpacked_length(value: Any) -> int | None:
    """How many dimensions an embedding seems to have, None where it is none."""
    if type(value) is list:
        return len(value)
    if type(value) is str and value.startswith("["):
        try:
            found = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
        return len(found)
    if type(value) is str:
        try:
            return len(binascii.a2b_base64(value, strict_mode=True)) // 4
        except ValueError:
            return None
    return None


def _of_text(value: str, dimension: int) -> bytes:
    if value.startswith("["):
        try:
            return encode_embedding(orjson.loads(value), dimension)
        except orjson.JSONDecodeError as error:
            raise RowError(f"the embedding is no JSON: {error}") from None
    try:
        raw = binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        raise RowError("the embedding is neither a list nor base64") from None
    if len(raw) != 4 * dimension:
        raise RowError(f"the embedding has {len(raw) / 4:g} dimensions, the collection has {dimension}")
    return raw


def finite_rows(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the vectors (n, d) have finite components only, as a mask (n,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        # One pass without a matrix in between: the sum of squares is finite unless a component is not, or is huge.
        sums = np.einsum("ij,ij->i", vectors, vectors)
    good = np.isfinite(sums)
    for at in np.flatnonzero(~good).tolist():
        good[at] = np.isfinite(vectors[at]).all()
    found: NDArray[np.bool_] = good
    return found


def metadata(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Metadata as the log takes it, None where nothing is left."""
    if not record:
        return None
    for key in record:
        _check_key(key)
    if _SCALARS.issuperset(map(type, record.values())) and all(map(_fits, record.values())):
        return record if type(record) is dict else dict(record)
    found = {}
    for key, value in record.items():
        taken = _normalize(key, value)
        if taken is not None:
            found[key] = taken
    return found or None


@lru_cache(maxsize=4096)
def key_fault(key: str) -> str | None:
    """Why no metadata may have this key."""
    if not key:
        return "a metadata key is empty"
    if key[0] in "#$":
        return f"metadata key {key!r} begins with {key[0]!r}"
    if key.startswith(_RESERVED):
        return f"metadata key {key!r} begins with {_RESERVED!r}, which is reserved"
    return None


def _fits(value: Any) -> bool:
    return type(value) is not int or _LEAST_INT <= value <= _LARGEST_INT


def _check_key(key: str) -> None:
    fault = key_fault(key)
    if fault is not None:
        raise RowError(fault)


def _normalize(key: str, value: Any) -> Any:
    kind = type(value)
    if kind in _AS_THEY_ARE or value is None:
        return value
    if kind is int:
        return value if _LEAST_INT <= value <= _LARGEST_INT else float(value)
    if kind is list:
        return _array(key, value)
    if kind is dict and value.get("#type") == "sparse_vector":
        return _sparse(key, value)
    raise RowError(f"metadata key {key!r} holds what no metadata may: {_shown(value)}")


def _array(key: str, items: list[Any]) -> list[Any] | None:
    if not items:
        return None
    kinds = set(map(type, items))
    if len(kinds) == 1 and kinds <= _AS_THEY_ARE:
        return items
    if not kinds <= _NUMBERS:
        raise RowError(f"metadata key {key!r} holds a list of several kinds: {_shown(items)}")
    if kinds == {int} and min(items) >= _LEAST_INT and max(items) <= _LARGEST_INT:
        return items
    return [float(each) for each in items]


def _sparse(key: str, vector: dict[str, Any]) -> dict[str, Any]:
    indices, values, tokens = vector.get("indices"), vector.get("values"), vector.get("tokens")
    good = (
        type(indices) is list
        and type(values) is list
        and all(type(each) is int and 0 <= each <= _LARGEST_U32 for each in indices)
        and _NUMBERS.issuperset(map(type, values))
        and (tokens is None or (type(tokens) is list and all(type(each) is str for each in tokens)))
        and {len(indices)} == {len(values), len(indices if tokens is None else tokens)}
        and all(left < right for left, right in pairwise(indices))
    )
    if not good:
        raise RowError(f"metadata key {key!r} holds a sparse vector that is not sound: {_shown(vector)}")
    return vector


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
