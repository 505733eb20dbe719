"""The schema of a collection: which index serves which key, and how the vector index is configured.

Pure functions over the stored schema, a dict in the wire's form::

    {"defaults": {value type: {index: {"enabled", "config"}}}, "keys": {key: the same}}

The stored form always has all of `defaults` and the keys `#embedding` and `#document` (see `schema_defaults`). The
wire's models have already validated the structure of inputs; their values are validated here. No function modifies its
arguments.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal

from afterglow.catalog import schema_validation
from afterglow.catalog.index_configuration import merge_parameters, requested_index, validate_single_index
from afterglow.catalog.schema_defaults import DOCUMENT, EMBEDDING, INVERTED, is_default, with_defaults
from afterglow.errors import InvalidArgument

MAX_METADATA_KEYS = 1_000
"""Keys that writes may register; filters on further ones follow the defaults."""

Space = Literal["l2", "ip", "cosine"]

WIRE_TYPE = {
    "bool": "bool",
    "int": "int",
    "float": "float",
    "str": "string",
    "bool_list": "bool",
    "int_list": "int",
    "float_list": "float",
    "str_list": "string",
    "sparse": "sparse_vector",
}
RUST_TYPE_NAME = {"bool": "Bool", "int": "Int", "float": "Float", "string": "Str"}


@dataclass(frozen=True, slots=True)
class IndexParameters:
    """The configured parameters of building and searching the vector index, without range checks."""

    space: Space
    ef_construction: int
    ef_search: int
    max_neighbors: int


def reconcile(
    configuration: Mapping[str, Any] | None,
    schema: Mapping[str, Any] | None,
    metadata: Mapping[str, Any] | None,
    threads: int = 1,
) -> dict[str, Any]:
    """Return the schema to store for a create request; `threads`: the default `num_threads`. Raises InvalidArgument."""
    if schema is not None:
        schema_validation.validate(schema)
    index = requested_index(configuration, metadata, threads)
    complete = with_defaults(schema or {"defaults": {}, "keys": {}}, threads)
    if is_default(complete, threads):
        config: dict[str, Any] = {"space": index.space, "hnsw": index.hnsw}
        if index.embedding_function is not None:
            config["embedding_function"] = index.embedding_function
        default_types = {"float_list": {"vector_index": {"enabled": False, "config": config}}}
        embedding_types = {"float_list": {"vector_index": {"enabled": True, "config": config}}}
        return with_defaults({"defaults": default_types, "keys": {EMBEDDING: embedding_types}}, threads)
    if not index.is_default(threads):
        raise InvalidArgument("Failed to reconcile schema: Cannot set both collection config and schema simultaneously")
    return complete


def configuration_json(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the wire's `configuration_json`, which repeats the schema's configuration of the vector index."""
    config = _vector_config(schema)
    hnsw = config["hnsw"]
    fields = ("ef_construction", "ef_search", "max_neighbors", "resize_factor", "sync_threshold")
    return {
        "hnsw": {"space": config["space"]} | {name: hnsw[name] for name in fields},
        "spann": None,
        "embedding_function": config.get("embedding_function"),
    }


def with_configuration(schema: Mapping[str, Any], new_configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema changed by a modify request's `new_configuration`. Raises InvalidArgument."""
    validate_single_index(new_configuration)
    hnsw = new_configuration.get("hnsw") or {}
    function = new_configuration.get("embedding_function")
    embedding_types = _reconfigured(schema["keys"][EMBEDDING], hnsw, function)
    return {
        **schema,
        "defaults": _reconfigured(schema["defaults"], hnsw, function),
        "keys": {**schema["keys"], EMBEDDING: embedding_types},
    }


def register(schema: Mapping[str, Any], keys: Mapping[str, Set[str]]) -> dict[str, Any] | None:
    """Return the schema with the new keys of a write, each with the defaults of its types; None when no key is new.

    Types are named as in `columns`: `bool`, `int`, `float`, `str`, each of them with `_list`, and `sparse`.
    """
    known: Mapping[str, Any] = schema["keys"]
    free = MAX_METADATA_KEYS - len(known)
    added: dict[str, Any] = {}
    for key, types in keys.items():
        existing = known.get(key, {})
        new_types = {WIRE_TYPE[name] for name in types} - existing.keys()
        if not new_types:
            continue
        if key not in known:
            if free <= 0:
                continue
            free -= 1
        added[key] = existing | {name: schema["defaults"][name] for name in sorted(new_types)}
    return {**schema, "keys": {**known, **added}} if added else None


def without_registered_keys(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with only those keys and types that differ from its defaults: none that a write has registered."""
    defaults = schema["defaults"]
    keys = {
        key: types if key.startswith("#") else {name: kind for name, kind in types.items() if kind != defaults[name]}
        for key, types in schema["keys"].items()
    }
    return {**schema, "keys": {key: types for key, types in keys.items() if types}}


def index_parameters(schema: Mapping[str, Any]) -> IndexParameters:
    """Return the parameters of the vector index."""
    config = _vector_config(schema)
    hnsw = config["hnsw"]
    return IndexParameters(config["space"], hnsw["ef_construction"], hnsw["ef_search"], hnsw["max_neighbors"])


@dataclass(frozen=True, slots=True)
class SparseIndex:
    """The index of the sparse vectors under one key; with `bm25`, queries are weighted by IDF (BM25: Robertson)."""

    bm25: bool


def sparse_index(schema: Mapping[str, Any], key: str) -> SparseIndex:
    """Return the index for sparse queries on `key`. Raises InvalidArgument when there is none."""
    index = schema["keys"].get(key, {}).get("sparse_vector", {}).get("sparse_vector_index")
    if index is None or not index["enabled"]:
        raise InvalidArgument(_not_indexed(key, "SparseVector"))
    return SparseIndex(bm25=bool(index["config"].get("bm25")))


def check_indexed(schema: Mapping[str, Any], operands: Iterable[tuple[str, str]], uses_fulltext: bool) -> None:
    """Raise InvalidArgument when a filter needs a disabled index.

    `operands` are the (key, type) pairs of the filter's metadata conditions, types named as in `register`;
    `uses_fulltext`: the filter has conditions on documents.
    """
    if uses_fulltext and not _enabled(schema, DOCUMENT, "string", "fts_index"):
        raise InvalidArgument("Cannot filter using full-text search because FTS indexing is disabled")
    for key, type_name in operands:
        value_type = WIRE_TYPE[type_name]
        if not _enabled(schema, key, value_type, INVERTED[value_type]):
            raise InvalidArgument(_not_indexed(key, RUST_TYPE_NAME[value_type]))


def _not_indexed(key: str, rust_type: str) -> str:
    return f"Cannot filter using metadata key '{key}' with type '{rust_type}' because indexing is disabled"


def _enabled(schema: Mapping[str, Any], key: str, value_type: str, index: str) -> bool:
    for value_types in (schema["keys"].get(key, {}), schema["defaults"]):
        configured = value_types.get(value_type, {}).get(index)
        if configured is not None:
            return bool(configured["enabled"])
    return True


def _reconfigured(
    value_types: Mapping[str, Any], hnsw: Mapping[str, Any], function: Mapping[str, Any] | None
) -> dict[str, Any]:
    index = value_types["float_list"]["vector_index"]
    config = {**index["config"], "hnsw": merge_parameters(index["config"]["hnsw"], hnsw)}
    if function is not None:
        config["embedding_function"] = function
    return {**value_types, "float_list": {"vector_index": {**index, "config": config}}}


def _vector_config(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    config: Mapping[str, Any] = schema["keys"][EMBEDDING]["float_list"]["vector_index"]["config"]
    return config
