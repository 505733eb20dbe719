"""Metadata as it comes over the wire, of records and of collections.

A value is a bool, an int64, a float, a string, an array of one of these, or a sparse vector; an int beyond int64
becomes a float, ints among floats become floats. A sparse vector stays as it came, but for a `#type` that was left out,
members that it does not have, and ints among its values.

The shape of everything is judged first (Malformed, 422), in one tight pass, the keys and the sparse vectors later
(InvalidArgument, 400). The dicts are those that the body's parser made: they are mended in place.
"""

from dataclasses import dataclass, field
from typing import Any

from afterglow.api.validation.json_body import schema_error, type_error
from afterglow.errors import InvalidArgument

_AS_THEY_ARE = frozenset({bool, float, str})
_NUMBERS = frozenset({int, float})
_LEAST_INT, _LARGEST_INT = -(2**63), 2**63 - 1
_LARGEST_U32 = 2**32 - 1
_BEYOND_FLOAT32 = 2.0**128 - 2.0**103
_SPARSE = "sparse_vector"
_RESERVED = "chroma:"

Record = dict[str, Any] | None


@dataclass(slots=True)
class Metadatas:
    """The metadata of a write's records, of good shape; `sparse` says where sparse vectors are, by record and key."""

    records: list[Record]
    sparse: list[tuple[int, str]] = field(default_factory=list)


def check_shape(value: Any, *, nulls: bool) -> Metadatas | None:
    """Judge the shape of a write's metadata; with `nulls`, null as a value deletes the key. Raises Malformed.

    Empty metadata is none. An empty array is stored as nothing: with `nulls` it deletes the key, else it is left out.
    """
    if value is None:
        return None
    if type(value) is not list:
        raise type_error("metadatas", value, "a sequence")
    checked = Metadatas([])
    for at, record in enumerate(value):
        if type(record) is dict:
            if not _AS_THEY_ARE.issuperset(map(type, record.values())):
                sparse = _normalize(record, f"metadatas[{at}]", nulls=nulls)
                checked.sparse.extend((at, key) for key in sparse)
        elif record is not None:
            raise type_error(f"metadatas[{at}]", record, "a map")
        checked.records.append(record or None)
    return checked


def check_values(metadatas: Metadatas) -> None:
    """Refuse keys that no record may have, and sparse vectors that are none. Raises InvalidArgument."""
    seen: set[str] = set()
    for at, record in enumerate(metadatas.records):
        if record is None or record.keys() <= seen:
            continue
        for key in record.keys() - seen:
            if not key or key[0] in "#$":
                raise _invalid(at)
            if key.startswith(_RESERVED):
                raise InvalidArgument(f"{_invalid(at).message}: keys beginning with '{_RESERVED}' are reserved: {key}")
        seen |= record.keys()
    for at, key in metadatas.sparse:
        record = metadatas.records[at]
        assert record is not None
        vector = record[key] = _tagged(record[key])
        if not _is_valid_sparse(vector):
            raise _invalid(at)


def check_collection(value: Any, field_name: str, *, nulls: bool) -> dict[str, Any] | None:
    """The metadata of a collection; with `nulls`, keys whose value is null are left out.

    Raises Malformed, InvalidArgument.
    """
    if value is None:
        return None
    if type(value) is not dict:
        raise type_error(field_name, value, "a map")
    if not value:
        raise InvalidArgument(f"Validation error: {field_name}: Metadata cannot be empty")
    sparse = _normalize(value, field_name, nulls=nulls)
    for key in value:
        if not key:
            raise InvalidArgument(f"Validation error: {field_name}: Metadata key cannot be empty")
        if key[0] in "#$":
            raise InvalidArgument(f"Validation error: {field_name}: Metadata key cannot start with '#' or '$': {key}")
    for key in sparse:
        raise InvalidArgument(f"Validation error: {field_name}: a collection's metadata holds no sparse vectors: {key}")
    return {key: each for key, each in value.items() if each is not None}


def _normalize(record: dict[str, Any], path: str, *, nulls: bool) -> list[str]:
    """Put numbers into their kinds and judge every value; answers the keys of sparse vectors. Raises Malformed."""
    sparse: list[str] = []
    empty: list[str] = []
    for key, value in record.items():
        kind = type(value)
        if kind in _AS_THEY_ARE:
            continue
        if kind is int:
            if not _LEAST_INT <= value <= _LARGEST_INT:
                record[key] = float(value)
        elif kind is list and value:
            record[key] = _mended_array(value, f"{path}.{key}", nulls=nulls)
        elif kind is list:
            empty.append(key)
        elif kind is dict and _has_sparse_shape(value):
            sparse.append(key)
        elif not (nulls and value is None):
            raise _no_variant(f"{path}.{key}", nulls=nulls)
    for key in empty:
        if nulls:
            record[key] = None
        else:
            del record[key]
    return sparse


def _mended_array(items: list[Any], path: str, *, nulls: bool) -> list[Any]:
    kinds = set(map(type, items))
    if len(kinds) == 1 and kinds <= _AS_THEY_ARE:
        return items
    if not kinds <= _NUMBERS:
        raise _no_variant(path, nulls=nulls)
    if kinds == {int} and min(items) >= _LEAST_INT and max(items) <= _LARGEST_INT:
        return items
    return [float(each) for each in items]


def _has_sparse_shape(value: dict[str, Any]) -> bool:
    indices, values, tokens = value.get("indices"), value.get("values"), value.get("tokens")
    return (
        value.get("#type", _SPARSE) == _SPARSE
        and type(indices) is list
        and set(map(type, indices)) <= {int}
        and min(indices, default=0) >= 0
        and max(indices, default=0) <= _LARGEST_U32
        and type(values) is list
        and _NUMBERS.issuperset(map(type, values))
        and (tokens is None or (type(tokens) is list and set(map(type, tokens)) <= {str}))
    )


def _tagged(vector: dict[str, Any]) -> dict[str, Any]:
    """A vector of good shape as it is stored and answered."""
    tokens = vector.get("tokens")
    tagged = {"#type": _SPARSE, "indices": vector["indices"], "values": [float(each) for each in vector["values"]]}
    return tagged if tokens is None else {**tagged, "tokens": tokens}


def _is_valid_sparse(vector: dict[str, Any]) -> bool:
    """Whether its indices ascend strictly, its values are finite float32, and there are as many of each."""
    indices, values = vector["indices"], vector["values"]
    ascends = indices == sorted(indices) and len(set(indices)) == len(indices)
    is_finite = max(map(abs, values), default=0.0) < _BEYOND_FLOAT32
    return ascends and is_finite and len(indices) == len(values) == len(vector.get("tokens", indices))


def _invalid(at: int) -> InvalidArgument:
    return InvalidArgument(f"Validation error: metadatas: Invalid metadata at index {at}")


def _no_variant(path: str, *, nulls: bool) -> Exception:
    variant = "UpdateMetadataValue" if nulls else "MetadataValue"
    return schema_error(path, f"data did not match any variant of untagged enum {variant}")
