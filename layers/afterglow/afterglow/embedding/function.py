"""Embedding functions as collections name them: in the schema, in Chroma's form.

::

    {"type": "known", "name": "default", "config": {}}    the clients can make it, and so can the server
    {"type": "legacy"}, {"type": "unknown"}, absent        no function that a server could know
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from afterglow.catalog.schema_defaults import DOCUMENT, EMBEDDING
from afterglow.errors import InvalidArgument

BM25 = "chroma_bm25"
"""The function of sparse vectors that the server runs (`embedding.bm25`)."""


@dataclass(frozen=True, slots=True)
class EmbeddingFunction:
    """A function's name and its configuration, as canonical JSON, so that equal functions are equal keys."""

    name: str
    config_json: bytes = b"{}"

    @property
    def config(self) -> dict[str, Any]:
        """The configuration; empty if the client sent something other than an object."""
        config = orjson.loads(self.config_json)
        return config if isinstance(config, dict) else {}

    def stored(self) -> dict[str, Any]:
        """The form in a schema."""
        return {"type": "known", "name": self.name, "config": self.config}


@dataclass(frozen=True, slots=True)
class SparseSource:
    """A sparse index under `key` whose vectors are made from the document or from the metadata key `source`."""

    key: str
    source: str
    function: EmbeddingFunction

    @property
    def is_document(self) -> bool:
        """Whether the source is the document."""
        return self.source == DOCUMENT


def parse(stored: Mapping[str, Any] | None) -> EmbeddingFunction | None:
    """The function of a stored configuration, None if it names none."""
    if stored is None or stored.get("type", "known") != "known" or not isinstance(stored.get("name"), str):
        return None
    config = stored.get("config") or {}
    return EmbeddingFunction(stored["name"], orjson.dumps(config, option=orjson.OPT_SORT_KEYS))


def parse_setting(text: str, variable: str) -> EmbeddingFunction | None:
    """The function that a setting names: a name, or JSON with `name` and `config`; None for `none`.

    Raises InvalidArgument.
    """
    text = text.strip()
    if text in {"", "none"}:
        return None
    if not text.startswith("{"):
        return EmbeddingFunction(text)
    try:
        function = parse(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"{variable} is not JSON: {error}") from None
    if function is None:
        raise InvalidArgument(f'{variable} must be a name, or JSON like {{"name": "openai", "config": {{…}}}}')
    return function


def dense_function(schema: Mapping[str, Any]) -> EmbeddingFunction | None:
    """The function of a collection's embeddings, None if its schema names none."""
    return parse(schema["keys"][EMBEDDING]["float_list"]["vector_index"]["config"].get("embedding_function"))


def sparse_function(schema: Mapping[str, Any], key: str) -> EmbeddingFunction | None:
    """The function of the sparse index under `key`, None if it has none."""
    index = schema["keys"].get(key, {}).get("sparse_vector", {}).get("sparse_vector_index")
    return parse(index["config"].get("embedding_function")) if index is not None and index["enabled"] else None


def sparse_sources(schema: Mapping[str, Any]) -> list[SparseSource]:
    """The sparse indexes whose vectors are made from another field."""
    sources = []
    for key, value_types in schema["keys"].items():
        index = value_types.get("sparse_vector", {}).get("sparse_vector_index")
        source = None if index is None or not index["enabled"] else index["config"].get("source_key")
        function = None if source is None else sparse_function(schema, key)
        if source is not None and function is not None:
            sources.append(SparseSource(key, source, function))
    return sources
