"""Sparse vectors, as JSON has them in metadata and in queries.

Schema: `{"#type": "sparse_vector", "indices": [uint32], "values": [number], "tokens": [string]}`. `#type` and `tokens`
may be left out, other members are ignored. A valid vector has as many values (and tokens) as indices, strictly
ascending indices, and values that are finite in float32.
"""

from enum import Enum, auto
from operator import ge
from typing import Any

from afterglow.records.embeddings import NUMBER_TYPES, fits_float32

TYPE_NAME = "sparse_vector"
_LARGEST_UINT32 = 2**32 - 1


class SparseProblem(Enum):
    """Why a dict with the schema of a sparse vector is not a valid one."""

    VALUE_COUNT = auto()
    """There are not as many values as indices."""
    TOKEN_COUNT = auto()
    """There are not as many tokens as indices."""
    ORDER = auto()
    """The indices do not ascend strictly."""
    RANGE = auto()
    """A value is not finite in float32: it would be stored as infinity and win every search."""


def has_sparse_schema(value: dict[str, Any]) -> bool:
    """Whether the members have the types of a sparse vector."""
    indices, values, tokens = value.get("indices"), value.get("values"), value.get("tokens")
    return (
        value.get("#type", TYPE_NAME) == TYPE_NAME
        and type(indices) is list
        and set(map(type, indices)) <= {int}
        and min(indices, default=0) >= 0
        and max(indices, default=0) <= _LARGEST_UINT32
        and type(values) is list
        and NUMBER_TYPES.issuperset(map(type, values))
        and (tokens is None or (type(tokens) is list and set(map(type, tokens)) <= {str}))
    )


def normalize_sparse(vector: dict[str, Any]) -> dict[str, Any]:
    """The stored form of a vector with the right schema: tagged, values as floats, no other members."""
    tokens = vector.get("tokens")
    stored = {"#type": TYPE_NAME, "indices": vector["indices"], "values": list(map(float, vector["values"]))}
    return stored if tokens is None else {**stored, "tokens": tokens}


def sparse_problem(vector: dict[str, Any]) -> SparseProblem | None:
    """Why a vector with the right schema is invalid, None if it is valid."""
    indices, values, tokens = vector["indices"], vector["values"], vector.get("tokens")
    if len(values) != len(indices):
        return SparseProblem.VALUE_COUNT
    if tokens is not None and len(tokens) != len(indices):
        return SparseProblem.TOKEN_COUNT
    if any(map(ge, indices, indices[1:])):
        return SparseProblem.ORDER
    if values and not (fits_float32(min(values)) and fits_float32(max(values))):
        return SparseProblem.RANGE
    return None
