"""The default schema of a collection, and the completion of a requested schema by defaults."""

from collections.abc import Mapping
from typing import Any

from afterglow.catalog.index_configuration import DEFAULT_SPACE, default_hnsw, is_default_function, merge_parameters

EMBEDDING = "#embedding"
DOCUMENT = "#document"

INVERTED = {
    "string": "string_inverted_index",
    "int": "int_inverted_index",
    "float": "float_inverted_index",
    "bool": "bool_inverted_index",
}
"""The index for metadata filters, by value type."""


def default_schema(threads: int) -> dict[str, Any]:
    """Return the complete default schema; `threads` is the value of `num_threads`."""
    return with_defaults({"defaults": {}, "keys": {}}, threads)


def with_defaults(schema: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """Complete a schema by defaults; other keys are unchanged. SPANN becomes HNSW."""
    keys = {key: _without_nulls(types) for key, types in schema["keys"].items()}
    keys[DOCUMENT] = {"string": _string(keys.get(DOCUMENT, {}).get("string"), fts=True)}
    keys[EMBEDDING] = {"float_list": _float_list(keys.get(EMBEDDING, {}).get("float_list"), threads, for_records=True)}
    return {"defaults": _defaults(schema["defaults"], threads), "keys": keys}


def is_default(schema: Mapping[str, Any], threads: int) -> bool:
    """Whether a complete schema has only defaults. The client's default embedding function counts as none."""
    normalized = {
        **schema,
        "defaults": _without_embedding_function(schema["defaults"]),
        "keys": {**schema["keys"], EMBEDDING: _without_embedding_function(schema["keys"][EMBEDDING])},
    }
    return bool(normalized == default_schema(threads))


def _defaults(requested: Mapping[str, Any], threads: int) -> dict[str, Any]:
    return {
        "string": _string(requested.get("string"), fts=False),
        "float_list": _float_list(requested.get("float_list"), threads, for_records=False),
        "sparse_vector": {"sparse_vector_index": _sparse_index(requested.get("sparse_vector"))},
    } | {
        name: {INVERTED[name]: _index(requested.get(name), INVERTED[name], enabled=True)}
        for name in ("int", "float", "bool")
    }


def _index(value_type: Mapping[str, Any] | None, name: str, *, enabled: bool) -> dict[str, Any]:
    requested: dict[str, Any] | None = (value_type or {}).get(name)
    return {"enabled": enabled, "config": {}} if requested is None else requested


def _string(value_type: Mapping[str, Any] | None, *, fts: bool) -> dict[str, Any]:
    inverted = INVERTED["string"]
    return {
        "fts_index": _index(value_type, "fts_index", enabled=fts),
        inverted: _index(value_type, inverted, enabled=not fts),
    }


def _float_list(value_type: Mapping[str, Any] | None, threads: int, *, for_records: bool) -> dict[str, Any]:
    index = _index(value_type, "vector_index", enabled=for_records)
    requested = index["config"]
    function = requested.get("embedding_function")
    source = requested.get("source_key") or (DOCUMENT if for_records else None)
    config = {"space": requested.get("space") or DEFAULT_SPACE}
    if function is not None:
        config["embedding_function"] = function
    if source is not None:
        config["source_key"] = source
    config["hnsw"] = merge_parameters(default_hnsw(threads), requested.get("hnsw") or {})
    return {"vector_index": {"enabled": index["enabled"], "config": config}}


def _sparse_index(value_type: Mapping[str, Any] | None) -> dict[str, Any]:
    index = _index(value_type, "sparse_vector_index", enabled=False)
    requested = {name: value for name, value in index["config"].items() if value is not None}
    return {
        "enabled": index["enabled"],
        "config": {"embedding_function": {"type": "unknown"}, "bm25": False} | requested,
    }


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    # An embedding function's configuration belongs to the client and stays unchanged, nulls included.
    return {
        name: item if name == "embedding_function" else _without_nulls(item)
        for name, item in value.items()
        if item is not None
    }


def _without_embedding_function(value_types: Mapping[str, Any]) -> dict[str, Any]:
    index = value_types["float_list"]["vector_index"]
    config = dict(index["config"])
    if is_default_function(config.get("embedding_function")):
        config.pop("embedding_function", None)
    return {**value_types, "float_list": {"vector_index": {**index, "config": config}}}
