"""Validation of the schema in a create request. Violations raise InvalidArgument with Chroma's texts."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from afterglow.catalog.index_configuration import MIN_BATCH
from afterglow.catalog.schema_defaults import DOCUMENT, EMBEDDING, INVERTED
from afterglow.errors import InvalidArgument

_CMEK = re.compile(r"projects/.+/locations/.+/keyRings/.+/cryptoKeys/.+")


def validate(schema: Mapping[str, Any]) -> None:
    """Raise InvalidArgument for an invalid schema whose structure is already validated."""
    if schema.get("source_attached_function_id") is not None:
        _refuse("Cannot set source_attached_function_id. This field is reserved for system use.")
    _validate_defaults(schema["defaults"])
    for key, value_types in schema["keys"].items():
        _validate_key(key, value_types)
    _validate_sparse(schema["keys"])
    cmek = (schema.get("cmek") or {}).get("gcp")
    if cmek is not None and _CMEK.fullmatch(cmek) is None:
        _refuse(f"CMEK does not match expected pattern: Gcp({orjson.dumps(cmek).decode()})")
    if cmek is not None:
        _refuse(
            "a collection cannot have an encryption key of its own (cmek): encrypt the disk of the data directory, or "
            "deploy to AWS with the parameter KmsKeyArn"
        )
    for value_types in (schema["defaults"], schema["keys"].get(EMBEDDING, {})):
        _validate_hnsw(_vector_config(value_types).get("hnsw") or {})


def _validate_defaults(defaults: Mapping[str, Any]) -> None:
    if _enabled(defaults, "float_list", "vector_index"):
        _refuse("Vector index cannot be enabled by default. It can only be enabled on #embedding field.")
    if _enabled(defaults, "sparse_vector", "sparse_vector_index"):
        _refuse(
            "Sparse vector index cannot be enabled by default. Please enable sparse vector index on specific keys. "
            "At most one sparse vector index is allowed for the collection."
        )
    if _enabled(defaults, "string", "fts_index"):
        _refuse(
            "Full text search / regular expression index cannot be enabled by default. "
            "It can only be enabled on #document field."
        )
    _validate_vector(defaults)


def _validate_key(key: str, value_types: Mapping[str, Any]) -> None:
    types = {name for name, value in value_types.items() if value is not None}
    if key == DOCUMENT:
        if types - {"string"}:
            _refuse(f"Document field cannot have any value types other than string: {key}")
        if _enabled(value_types, "string", INVERTED["string"]):
            _refuse(f"String inverted index can not be enabled on #document key: {key}")
    elif key == EMBEDDING:
        if types - {"float_list"}:
            _refuse(f"Embedding field cannot have any value types other than float_list: {key}")
    else:
        if key.startswith("#"):
            _refuse(f"key cannot begin with '#'. Keys starting with '#' are reserved for system use: {key}")
        if _enabled(value_types, "float_list", "vector_index"):
            _refuse(f"Vector index can only be enabled on #embedding field: {key}")
        if _enabled(value_types, "string", "fts_index"):
            _refuse(f"Full text search / regular expression index can only be enabled on #document field: {key}")
    _validate_vector(value_types)
    # The defaults may name any source key, because no vector index reads them.
    if _vector_config(value_types).get("source_key") not in {None, DOCUMENT}:
        _refuse("Vector index can only source from #document")


def _validate_vector(value_types: Mapping[str, Any]) -> None:
    config = _vector_config(value_types)
    if config.get("hnsw") is not None and config.get("spann") is not None:
        _refuse("Both spann and hnsw config cannot be present at the same time.")


def _validate_sparse(keys: Mapping[str, Any]) -> None:
    sparse = [key for key, types in keys.items() if _enabled(types, "sparse_vector", "sparse_vector_index")]
    for key in sparse:
        config = keys[key]["sparse_vector"]["sparse_vector_index"]["config"]
        if config.get("source_key") is not None and config.get("embedding_function") is None:
            _refuse(
                "If source_key is provided then embedding_function must also be provided "
                "since there is no default embedding function."
            )
    for types in keys.values():
        index = (types.get("sparse_vector") or {}).get("sparse_vector_index") or {"config": {}}
        source = index["config"].get("source_key") or ""
        if source.startswith("#") and source != DOCUMENT:
            _refuse(
                "source_key cannot begin with '#'. The only valid key starting with '#' is Key.DOCUMENT or '#document'."
            )


def _validate_hnsw(hnsw: Mapping[str, Any]) -> None:
    violations = [
        f'{name}: Validation error: range [{{"value": Number({hnsw[name]}), "min": Number({MIN_BATCH})}}]'
        for name in ("batch_size", "sync_threshold")
        if hnsw.get(name) is not None and hnsw[name] < MIN_BATCH
    ]
    if violations:
        raise InvalidArgument("Failed to reconcile schema: Invalid HNSW configuration: " + "\n".join(violations))


def _vector_config(value_types: Mapping[str, Any]) -> dict[str, Any]:
    index = (value_types.get("float_list") or {}).get("vector_index") or {}
    config: dict[str, Any] = index.get("config") or {}
    return config


def _enabled(value_types: Mapping[str, Any], value_type: str, index: str) -> bool:
    configured = (value_types.get(value_type) or {}).get(index)
    return configured is not None and bool(configured["enabled"])


def _refuse(message: str) -> None:
    raise InvalidArgument(f"Validation error: schema: {message}")
