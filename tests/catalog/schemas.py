"""Schemas as the tests of them spell them out."""

import copy
from typing import Any

from afterglow.catalog import schema

THREADS = 2
HNSW = {
    "ef_construction": 100,
    "max_neighbors": 16,
    "ef_search": 100,
    "num_threads": 2,
    "batch_size": 100,
    "sync_threshold": 1000,
    "resize_factor": 1.2,
}
ON: dict[str, Any] = {"enabled": True, "config": {}}
OFF: dict[str, Any] = {"enabled": False, "config": {}}
DEFAULT: dict[str, Any] = {
    "defaults": {
        "string": {"fts_index": OFF, "string_inverted_index": ON},
        "float_list": {"vector_index": {"enabled": False, "config": {"space": "l2", "hnsw": HNSW}}},
        "sparse_vector": {
            "sparse_vector_index": {
                "enabled": False,
                "config": {"embedding_function": {"type": "unknown"}, "bm25": False},
            }
        },
        "int": {"int_inverted_index": ON},
        "float": {"float_inverted_index": ON},
        "bool": {"bool_inverted_index": ON},
    },
    "keys": {
        "#document": {"string": {"fts_index": ON, "string_inverted_index": OFF}},
        "#embedding": {
            "float_list": {
                "vector_index": {
                    "enabled": True,
                    "config": {"space": "l2", "source_key": "#document", "hnsw": HNSW},
                }
            }
        },
    },
}
LEGACY = {"type": "legacy"}
KNOWN_DEFAULT = {"type": "known", "name": "default", "config": {}}
SPARSE = {"sparse_vector": {"sparse_vector_index": ON}}


def made(
    configuration: dict[str, Any] | None = None,
    given: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    before = copy.deepcopy((configuration, given, metadata))
    stored = schema.reconcile(configuration, given, metadata, THREADS)
    assert (configuration, given, metadata) == before
    return stored


def vectors(*, enabled: bool = True, **config: Any) -> dict[str, Any]:
    return {"float_list": {"vector_index": {"enabled": enabled, "config": config}}}


def keys(**given: Any) -> dict[str, Any]:
    return {"defaults": {}, "keys": {name.replace("__", "#"): types for name, types in given.items()}}


def configured(stored: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = stored["keys"]["#embedding"]["float_list"]["vector_index"]["config"]
    return config
