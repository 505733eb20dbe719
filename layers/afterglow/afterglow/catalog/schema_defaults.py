"""The schema of a collection of which nothing was said, and the filling in of what a request leaves out."""

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
"""The index that serves metadata filters on each value type."""


def default_schema(threads: int) -> dict[str, Any]:
    """The whole schema of a new collection; `threads` is what `num_threads` says."""
    return with_defaults({"defaults": {}, "keys": {}}, threads)


def with_defaults(schema: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """The schema with every default in place; parts of other keys stay as they are. Spann becomes HNSW."""
    keys = {key: _without_nulls(types) for key, types in schema["keys"].items()}
    keys[DOCUMENT] = {"string": _string(keys.get(DOCUMENT, {}).get("string"), fts=True)}
    keys[EMBEDDING] = {"float_list": _float_list(keys.get(EMBEDDING, {}).get("float_list"), threads, of_records=True)}
    whole = {"defaults": _defaults(schema["defaults"], threads), "keys": keys}
    cmek = schema.get("cmek")
    return whole if cmek is None else whole | {"cmek": cmek}


def is_default(schema: Mapping[str, Any], threads: int) -> bool:
    """Whether a filled schema says nothing but defaults. The client's default embedding function counts as none."""
    bare = {
        **schema,
        "defaults": _without_embedding_function(schema["defaults"]),
        "keys": {**schema["keys"], EMBEDDING: _without_embedding_function(schema["keys"][EMBEDDING])},
    }
    return bool(bare == default_schema(threads))


def _defaults(given: Mapping[str, Any], threads: int) -> dict[str, Any]:
    return {
        "string": _string(given.get("string"), fts=False),
        "float_list": _float_list(given.get("float_list"), threads, of_records=False),
        "sparse_vector": {"sparse_vector_index": _sparse_index(given.get("sparse_vector"))},
    } | {kind: {INVERTED[kind]: _index(given.get(kind), INVERTED[kind], on=True)} for kind in ("int", "float", "bool")}


def _index(value_type: Mapping[str, Any] | None, name: str, *, on: bool) -> dict[str, Any]:
    given: dict[str, Any] | None = (value_type or {}).get(name)
    return {"enabled": on, "config": {}} if given is None else given


def _string(value_type: Mapping[str, Any] | None, *, fts: bool) -> dict[str, Any]:
    inverted = INVERTED["string"]
    return {
        "fts_index": _index(value_type, "fts_index", on=fts),
        inverted: _index(value_type, inverted, on=not fts),
    }


def _float_list(value_type: Mapping[str, Any] | None, threads: int, *, of_records: bool) -> dict[str, Any]:
    index = _index(value_type, "vector_index", on=of_records)
    given = index["config"]
    function = given.get("embedding_function")
    source = given.get("source_key") or (DOCUMENT if of_records else None)
    config = {"space": given.get("space") or DEFAULT_SPACE}
    if function is not None:
        config["embedding_function"] = function
    if source is not None:
        config["source_key"] = source
    config["hnsw"] = merge_parameters(default_hnsw(threads), given.get("hnsw") or {})
    return {"vector_index": {"enabled": index["enabled"], "config": config}}


def _sparse_index(value_type: Mapping[str, Any] | None) -> dict[str, Any]:
    index = _index(value_type, "sparse_vector_index", on=False)
    given = {name: value for name, value in index["config"].items() if value is not None}
    return {
        "enabled": index["enabled"],
        "config": {"embedding_function": {"type": "unknown"}, "bm25": False} | given,
    }


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    # An embedding function's own configuration is the client's business, nulls included.
    return {
        name: part if name == "embedding_function" else _without_nulls(part)
        for name, part in value.items()
        if part is not None
    }


def _without_embedding_function(value_types: Mapping[str, Any]) -> dict[str, Any]:
    index = value_types["float_list"]["vector_index"]
    config = dict(index["config"])
    if is_default_function(config.get("embedding_function")):
        config.pop("embedding_function", None)
    return {**value_types, "float_list": {"vector_index": {**index, "config": config}}}
