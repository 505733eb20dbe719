"""Values of one row of a file: the stored form, or the reason for which the row is rejected.

Accepts what the API accepts in an upsert (`afterglow.records`), with two additions for what files have: an id may be a
whole number, and a metadata key whose value is null or an empty list is left out (in a request it deletes the key).
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from afterglow.records.embeddings import NUMBER_TYPES, InvalidBase64, decode_base64
from afterglow.records.keys import RESERVED_PREFIX, KeyProblem, key_problem
from afterglow.records.metadata import PLAIN_TYPES, InvalidValue, normalize_sparse_values, normalize_values
from afterglow.records.sparse import SparseProblem

_PREVIEW_LENGTH = 60
_ZERO, _ONE = struct.pack("<f", 0), struct.pack("<f", 1)
_SPARSE_PROBLEMS = {
    SparseProblem.VALUE_COUNT: "it has not as many values as indices",
    SparseProblem.TOKEN_COUNT: "it has not as many tokens as indices",
    SparseProblem.ORDER: "its indices do not ascend strictly",
    SparseProblem.RANGE: "a value is beyond float32",
}


class RowError(Exception):
    """The row is rejected; the text is the reason."""


def identifier(value: Any) -> str:
    """An id: a string, or a whole number as a string. Raises RowError."""
    if type(value) is int:
        return str(value)
    if type(value) is not str:
        raise RowError(f"the id is neither a string nor a whole number: {_preview(value)}")
    if not value:
        raise RowError("the id is empty")
    return value


def optional_text(value: Any, field_name: str) -> str | None:
    """A document or a uri. Raises RowError."""
    if value is not None and type(value) is not str:
        raise RowError(f"the {field_name} is not a string: {_preview(value)}")
    return value


@lru_cache(maxsize=8)
def _float32_struct(dimension: int) -> struct.Struct:
    return struct.Struct(f"<{dimension}f")


def encode_embedding(value: Any, dimension: int) -> bytes:
    """An embedding as little-endian float32, from a list of numbers, its JSON, or base64. Raises RowError."""
    if type(value) is str:
        return _encode_text(value, dimension)
    if type(value) is not list:
        raise RowError("it has no embedding" if value is None else f"the embedding is not a list: {_preview(value)}")
    if len(value) != dimension:
        raise RowError(f"the embedding has {len(value)} dimensions, the collection has {dimension}")
    try:
        packed = _float32_struct(dimension).pack(*value)
    except struct.error:
        raise _not_a_number(value) from None
    except OverflowError:
        raise RowError("the embedding holds a number beyond 32 bits") from None
    # `pack` takes booleans, as 0.0 and 1.0: only where these occur are the types worth a pass.
    if (_ZERO in packed or _ONE in packed) and not NUMBER_TYPES.issuperset(map(type, value)):
        raise _not_a_number(value)
    return packed


def _not_a_number(items: list[Any]) -> RowError:
    wrong = next(item for item in items if type(item) not in NUMBER_TYPES)
    return RowError(f"the embedding holds a value that is not a number: {_preview(wrong)}")


def embedding_dimension(value: Any) -> int | None:
    """The dimension that an embedding seems to have, None if it is not an embedding."""
    if type(value) is str and value.startswith("["):
        try:
            return len(orjson.loads(value))
        except orjson.JSONDecodeError:
            return None
    if type(value) is str:
        try:
            return len(decode_base64(value)) // 4
        except InvalidBase64:
            return None
    return len(value) if type(value) is list else None


def _encode_text(value: str, dimension: int) -> bytes:
    if value.startswith("["):
        try:
            return encode_embedding(orjson.loads(value), dimension)
        except orjson.JSONDecodeError as error:
            raise RowError(f"the embedding is not JSON: {error}") from None
    try:
        raw = decode_base64(value)
    except InvalidBase64:
        raise RowError("the embedding is neither a list nor base64") from None
    if len(raw) != 4 * dimension:
        raise RowError(f"the embedding has {len(raw) / 4:g} dimensions, the collection has {dimension}")
    return raw


def metadata(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Metadata in its stored form, None if nothing is left. A dict is changed in place. Raises RowError."""
    if not record:
        return None
    for key in record:
        problem = key_error(key)
        if problem is not None:
            raise RowError(problem)
    stored = record if type(record) is dict else dict(record)
    if PLAIN_TYPES.issuperset(map(type, stored.values())):
        return stored
    try:
        sparse_keys = normalize_values(stored, nulls=True)
    except InvalidValue as invalid:
        reason = "a list of several types" if type(invalid.value) is list else "an unsupported value"
        raise RowError(f"metadata key {invalid.key!r} holds {reason}: {_preview(invalid.value)}") from None
    invalid_sparse = normalize_sparse_values(stored, sparse_keys)
    if invalid_sparse is not None:
        key, sparse_problem = invalid_sparse
        raise RowError(f"metadata key {key!r} holds an invalid sparse vector: {_SPARSE_PROBLEMS[sparse_problem]}")
    if None in stored.values():
        stored = {key: value for key, value in stored.items() if value is not None}
    return stored or None


def key_error(key: str) -> str | None:
    """The reason for which no record can have this metadata key, None if the key is valid."""
    problem = key_problem(key)
    if problem is None:
        return None
    if problem is KeyProblem.EMPTY:
        return "a metadata key is empty"
    if problem is KeyProblem.RESERVED_CHARACTER:
        return f"metadata key {key!r} begins with {key[0]!r}"
    return f"metadata key {key!r} begins with {RESERVED_PREFIX!r}, which is reserved"


def _preview(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _PREVIEW_LENGTH else f"{text[:_PREVIEW_LENGTH]}…"
