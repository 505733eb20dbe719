"""Values of one row of a file: the stored form, or the reason for which the row is rejected.

Accepts what the API accepts in an upsert (`afterglow.records`), with additions for what files have: an id may be a
whole number; a metadata key whose value is null or an empty list is left out (in a request it deletes the key), and so
is a nested value, and an infinite number; an embedding may be a text such as numpy's `[0.1 0.2]` (`vector_text`).
"""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import orjson

from afterglow.bulk import vector_text
from afterglow.records.embeddings import NUMBER_TYPES, InvalidBase64, decode_base64
from afterglow.records.ids import MAX_ID_BYTES, is_too_long
from afterglow.records.keys import RESERVED_PREFIX, KeyProblem, key_problem
from afterglow.records.metadata import PLAIN_TYPES, InvalidValue, normalize_sparse_values, normalize_values
from afterglow.records.sparse import TYPE_NAME, SparseProblem, has_sparse_schema

CELLS = "#"
"""Begins what was left out of values, other than nested ones; no metadata key begins so."""
NO_TEXT = "it has neither an embedding nor a document"
_PREVIEW_LENGTH = 60
_NO_TYPES: frozenset[type] = frozenset()
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
    if is_too_long(value):
        raise RowError(f"the id has more than {MAX_ID_BYTES} bytes")
    return value


def optional_text(value: Any, field_name: str) -> str | None:
    """A document or a uri. Raises RowError."""
    if value is not None and type(value) is not str:
        raise RowError(f"the {field_name} is not a string: {_preview(value)}")
    return value


@lru_cache(maxsize=8)
def float32_struct(dimension: int) -> struct.Struct:
    """Packs so many numbers as little-endian float32."""
    return struct.Struct(f"<{dimension}f")


def encode_embedding(value: Any, dimension: int) -> bytes:
    """An embedding as little-endian float32, from a list of numbers, its JSON, or base64. Raises RowError.

    Empty for dimension 0, which is that of a file whose documents are to be embedded.
    """
    if not dimension:
        return b""
    if type(value) is str:
        return _encode_text(value, dimension)
    value = _only_member(value)
    if type(value) is not list:
        raise RowError("it has no embedding" if value is None else f"the embedding is not a list: {_preview(value)}")
    if len(value) != dimension:
        raise RowError(f"the embedding has {len(value)} dimensions, the collection has {dimension}")
    try:
        packed = float32_struct(dimension).pack(*value)
    except struct.error:
        raise _not_a_number(value) from None
    except OverflowError:
        raise RowError("the embedding holds a number beyond 32 bits") from None
    if (_ZERO in packed or _ONE in packed) and not are_numbers([value], packed):
        raise _not_a_number(value)
    return packed


def are_numbers(rows: Sequence[list[Any]], packed: bytes) -> bool:
    """Whether packed rows of one length are of numbers: packing takes booleans, too, as 0.0 and 1.0.

    So these components are looked up in the rows; the types of all of them would take longer than packing does.
    """
    components = np.frombuffer(packed, dtype="<f4")
    suspects = np.flatnonzero((components == 0) | (components == 1))
    numbers, columns = np.divmod(suspects, len(rows[0]))
    pairs = zip(numbers.tolist(), columns.tolist(), strict=True)
    return {type(rows[row][column]) for row, column in pairs} <= NUMBER_TYPES


def _not_a_number(items: list[Any]) -> RowError:
    wrong = next(item for item in items if type(item) not in NUMBER_TYPES)
    return RowError(f"the embedding holds a value that is not a number: {_preview(wrong)}")


def embedding_dimension(value: Any) -> int | None:
    """The dimension that an embedding seems to have, None if it is not an embedding."""
    if type(value) is str:
        value = _text_value(value)
        if type(value) is bytes:
            return len(value) // 4
    value = _only_member(value)
    return len(value) if type(value) is list else None


def _only_member(value: Any) -> Any:
    """The vector of an object with a single named one, as Weaviate's clients have it; other values as they are."""
    return next(iter(value.values())) if type(value) is dict and len(value) == 1 else value


def _encode_text(text: str, dimension: int) -> bytes:
    value = _text_value(text)
    if isinstance(value, list):
        return encode_embedding(value, dimension)
    if value is None:
        if vector_text.is_abbreviated(text):
            raise RowError("the embedding is an abbreviated text of numpy: its numbers are not all there")
        raise RowError(f"the embedding is neither a list nor base64: {_preview(text)}")
    if len(value) != 4 * dimension:
        raise RowError(f"the embedding has {len(value) / 4:g} dimensions, the collection has {dimension}")
    return value


def _text_value(text: str) -> list[Any] | bytes | None:
    """The list of a text, or the bytes of its base64; None if it is neither."""
    if text.startswith("["):
        try:
            numbers: list[Any] = orjson.loads(text)
        except orjson.JSONDecodeError:
            return vector_text.parse_numbers(text)
        return numbers
    try:
        return decode_base64(text)
    except InvalidBase64:
        return vector_text.parse_numbers(text)


def metadata(
    record: Mapping[str, Any], left_out: dict[str, int] | None = None, *, flatten: bool = False
) -> dict[str, Any] | None:
    """Metadata in its stored form, None if nothing is left. A dict is changed in place. Raises RowError.

    Nested values and infinite numbers are left out and counted in `left_out`, NaN is left out; with `flatten`, the
    members of objects become keys like `a.b`.
    """
    if not record:
        return None
    problem = _keys_error(tuple(record))
    if problem is not None:
        raise RowError(problem)
    stored = record if type(record) is dict else dict(record)
    types = set(map(type, stored.values()))
    item_types = _item_types(stored.values()) if list in types else _NO_TYPES
    if float in types or float in item_types:
        _drop_non_finite(stored, left_out)
    if types <= PLAIN_TYPES:
        return stored or None
    may_nest = dict in types or dict in item_types or list in item_types
    nested = [key for key, value in stored.items() if _is_nested(value)] if may_nest else ()
    for key in nested:
        value = stored.pop(key)
        rest = [key]
        if flatten and type(value) is dict:
            members, rest = _flatten(value, f"{key}.")
            stored |= members
        for name in rest:
            if left_out is not None:
                left_out[name] = left_out.get(name, 0) + 1
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


@lru_cache(maxsize=256)
def _keys_error(keys: tuple[str, ...]) -> str | None:
    """Why no record can have these metadata keys, None if it can. Cached: the rows of a file repeat them."""
    return next(filter(None, map(key_error, keys)), None)


def _item_types(values: Iterable[Any]) -> set[type]:
    """The types of what the lists among the values hold."""
    return set(map(type, chain.from_iterable(value for value in values if type(value) is list)))


def _drop_non_finite(stored: dict[str, Any], left_out: dict[str, int] | None) -> None:
    """Leave out NaN, which means absent, and infinite numbers, which are counted; JSON has neither."""
    for key in [key for key, value in stored.items() if _is_non_finite(value)]:
        value = stored.pop(key)
        if left_out is not None and (type(value) is list or math.isinf(value)):
            what = f"{CELLS}infinite or no number in {key}"
            left_out[what] = left_out.get(what, 0) + 1


def _is_non_finite(value: Any) -> bool:
    """Whether a value is no finite number, or a list with one."""
    if type(value) is list:
        return any(type(item) is float and not math.isfinite(item) for item in value)
    return type(value) is float and not math.isfinite(value)


def _is_nested(value: Any) -> bool:
    """Whether a value is an object other than a sparse vector, or a list that contains lists or objects."""
    if type(value) is dict:
        return not has_sparse_schema(value) and value.get("#type") != TYPE_NAME
    return type(value) is list and any(type(item) is dict or type(item) is list for item in value)


def _flatten(value: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], list[str]]:
    """The members of an object as keys below `prefix`, and the keys of lists that cannot be flattened."""
    members: dict[str, Any] = {}
    left_out = []
    for name, member in value.items():
        key = f"{prefix}{name}"
        if not _is_nested(member):
            members[key] = member
        elif type(member) is dict:
            inner, rest = _flatten(member, f"{key}.")
            members |= inner
            left_out += rest
        else:
            left_out.append(key)
    return members, left_out


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
