"""Metadata of records and collections in requests: Chroma's error texts for the rules of `afterglow.records`.

The schema of all records is checked first, in one tight pass (InvalidBody, 422); keys and sparse vectors afterwards
(InvalidArgument, 400). The dicts are those of the body's parser and are normalized in place.
"""

from dataclasses import dataclass, field
from typing import Any

from afterglow.api.validation.json_body import schema_error, type_error
from afterglow.errors import InvalidArgument
from afterglow.records.keys import RESERVED_PREFIX, KeyProblem, key_problem
from afterglow.records.metadata import PLAIN_TYPES, InvalidValue, normalize_sparse_values, normalize_values

Record = dict[str, Any] | None


@dataclass(slots=True)
class Metadatas:
    """The metadata of a write's records after the schema check; `sparse` has the keys of sparse vectors, by record."""

    records: list[Record]
    sparse: list[tuple[int, list[str]]] = field(default_factory=list)


def check_shape(value: Any, *, nulls: bool) -> Metadatas | None:
    """Check the schema of a write's metadata; with `nulls`, null as a value deletes the key. Raises InvalidBody.

    Empty metadata becomes None. An empty array is not stored: with `nulls` it deletes the key, else it is left out.
    """
    if value is None:
        return None
    if type(value) is not list:
        raise type_error("metadatas", value, "a sequence")
    checked = Metadatas([])
    for index, record in enumerate(value):
        if type(record) is dict:
            if not PLAIN_TYPES.issuperset(map(type, record.values())):
                sparse_keys = _normalize(record, f"metadatas[{index}]", nulls=nulls)
                if sparse_keys:
                    checked.sparse.append((index, sparse_keys))
        elif record is not None:
            raise type_error(f"metadatas[{index}]", record, "a map")
        checked.records.append(record or None)
    return checked


def check_values(metadatas: Metadatas) -> None:
    """Refuse invalid keys and sparse vectors; normalize the latter. Raises InvalidArgument."""
    seen: set[str] = set()
    for index, record in enumerate(metadatas.records):
        if record is None or record.keys() <= seen:
            continue
        for key in record.keys() - seen:
            problem = key_problem(key)
            if problem is KeyProblem.RESERVED_PREFIX:
                text = f"keys beginning with '{RESERVED_PREFIX}' are reserved: {key}"
                raise InvalidArgument(f"{_invalid(index).message}: {text}")
            if problem is not None:
                raise _invalid(index)
        seen |= record.keys()
    for index, keys in metadatas.sparse:
        record = metadatas.records[index]
        assert record is not None
        if normalize_sparse_values(record, keys) is not None:
            raise _invalid(index)


def check_collection(value: Any, field_name: str, *, nulls: bool) -> dict[str, Any] | None:
    """The metadata of a collection; with `nulls`, keys whose value is null are left out.

    Raises InvalidBody, InvalidArgument.
    """
    if value is None:
        return None
    if type(value) is not dict:
        raise type_error(field_name, value, "a map")
    if not value:
        raise InvalidArgument(f"Validation error: {field_name}: Metadata cannot be empty")
    sparse_keys = _normalize(value, field_name, nulls=nulls)
    for key in value:
        problem = key_problem(key)
        if problem is KeyProblem.EMPTY:
            raise InvalidArgument(f"Validation error: {field_name}: Metadata key cannot be empty")
        if problem is KeyProblem.RESERVED_CHARACTER:
            raise InvalidArgument(f"Validation error: {field_name}: Metadata key cannot start with '#' or '$': {key}")
    for key in sparse_keys:
        raise InvalidArgument(f"Validation error: {field_name}: a collection's metadata holds no sparse vectors: {key}")
    return {key: item for key, item in value.items() if item is not None}


def _normalize(record: dict[str, Any], path: str, *, nulls: bool) -> list[str]:
    try:
        return normalize_values(record, nulls=nulls)
    except InvalidValue as invalid:
        variant = "UpdateMetadataValue" if nulls else "MetadataValue"
        text = f"data did not match any variant of untagged enum {variant}"
        raise schema_error(f"{path}.{invalid.key}", text) from None


def _invalid(index: int) -> InvalidArgument:
    return InvalidArgument(f"Validation error: metadatas: Invalid metadata at index {index}")
