"""Values of metadata.

A value is a bool, an int64, a float, a string, an array of one of these, or a sparse vector (`records.sparse`). An int
beyond int64 becomes a float, and so do ints among floats. A sparse vector gets its `#type` and float values, and loses
members it does not have.

Judged in two steps, because Chroma refuses a wrong schema before it looks up the collection and a wrong value
afterwards: `normalize_values` (schema), then keys (`records.keys`) and `normalize_sparse_values`. The dicts are those
of the input's parser and are changed in place.
"""

from collections.abc import Iterable
from typing import Any

from afterglow.records.embeddings import NUMBER_TYPES
from afterglow.records.keys import key_problem
from afterglow.records.sparse import SparseProblem, has_sparse_schema, normalize_sparse, sparse_problem

PLAIN_TYPES = frozenset({bool, float, str})
"""Exact types whose values are all valid as they are."""
_SMALLEST_INT64, _LARGEST_INT64 = -(2**63), 2**63 - 1


class InvalidValue(Exception):
    """No metadata can have the `value` under the `key`."""

    def __init__(self, key: str, value: Any) -> None:
        super().__init__(key)
        self.key = key
        self.value = value


def normalize_values(record: dict[str, Any], *, nulls: bool) -> list[str]:
    """Check the schema of all values and normalize numbers, in place; returns the keys of sparse vectors.

    With `nulls`, None is a value (it deletes the key) and an empty array becomes None; without, an empty array is left
    out, unless its key is invalid: then the key is there to be refused. Raises InvalidValue.
    """
    sparse_keys: list[str] = []
    empty_keys: list[str] = []
    for key, value in record.items():
        value_type = type(value)
        if value_type in PLAIN_TYPES:
            continue
        if value_type is int:
            if not _SMALLEST_INT64 <= value <= _LARGEST_INT64:
                record[key] = float(value)
        elif value_type is list:
            if value:
                record[key] = _normalize_array(key, value)
            else:
                empty_keys.append(key)
        elif value_type is dict and has_sparse_schema(value):
            sparse_keys.append(key)
        elif not (nulls and value is None):
            raise InvalidValue(key, value)
    for key in empty_keys:
        if nulls:
            record[key] = None
        elif key_problem(key) is None:
            del record[key]
    return sparse_keys


def normalize_sparse_values(record: dict[str, Any], keys: Iterable[str]) -> tuple[str, SparseProblem] | None:
    """Put the sparse vectors under `keys` into their stored form, in place; returns the first invalid one."""
    for key in keys:
        vector = record[key] = normalize_sparse(record[key])
        problem = sparse_problem(vector)
        if problem is not None:
            return key, problem
    return None


def _normalize_array(key: str, items: list[Any]) -> list[Any]:
    types = set(map(type, items))
    if len(types) == 1 and types <= PLAIN_TYPES:
        return items
    if not types <= NUMBER_TYPES:
        raise InvalidValue(key, items)
    if types == {int} and min(items) >= _SMALLEST_INT64 and max(items) <= _LARGEST_INT64:
        return items
    return [float(item) for item in items]
