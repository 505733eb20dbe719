"""The vector index's configuration in a create request, in its current and its legacy form.

A request configures the index by `configuration.hnsw`, or in the legacy form by `hnsw:*` keys of the collection's
metadata. The metadata applies only if `configuration.hnsw` has only default values. `configuration.spann` is an index
that this server does not have: its space is used, the rest is ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from afterglow.errors import InvalidArgument

SPACES = ("l2", "cosine", "ip")
DEFAULT_SPACE = "l2"
MIN_BATCH = 2

_LEGACY = {
    "hnsw:space": "space",
    "hnsw:construction_ef": "ef_construction",
    "hnsw:search_ef": "ef_search",
    "hnsw:M": "max_neighbors",
    "hnsw:num_threads": "num_threads",
    "hnsw:resize_factor": "resize_factor",
    "hnsw:batch_size": "batch_size",
    "hnsw:sync_threshold": "sync_threshold",
}


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """A configured vector index; `hnsw` has every parameter of `default_hnsw`."""

    space: str
    hnsw: dict[str, Any]
    embedding_function: dict[str, Any] | None

    def is_default(self, threads: int) -> bool:
        """Whether the configuration equals the default."""
        return (
            self.space == DEFAULT_SPACE
            and self.hnsw == default_hnsw(threads)
            and is_default_function(self.embedding_function)
        )


def default_hnsw(threads: int) -> dict[str, Any]:
    """Return the default HNSW parameters, in the wire's order."""
    return {
        "ef_construction": 100,
        "max_neighbors": 16,
        "ef_search": 100,
        "num_threads": threads,
        "batch_size": 100,
        "sync_threshold": 1000,
        "resize_factor": 1.2,
    }


def is_default_function(function: Mapping[str, Any] | None) -> bool:
    """Whether an embedding function is the one that clients send by default."""
    if function is None or function["type"] == "unknown":
        return True
    return bool(function["type"] == "known" and function["name"] == "default")


def requested_index(
    configuration: Mapping[str, Any] | None, metadata: Mapping[str, Any] | None, threads: int
) -> VectorIndex:
    """Return the index that a create request configures. Raises InvalidArgument."""
    requested = configuration or {}
    function = requested.get("embedding_function")
    validate_single_index(requested)
    spann = requested.get("spann")
    if spann is not None:
        return VectorIndex(spann.get("space") or DEFAULT_SPACE, default_hnsw(threads), function)
    current = _index(requested.get("hnsw") or {}, function, threads)
    legacy = _index(legacy_parameters(metadata or {}), function, threads)
    has_defaults = current.space == DEFAULT_SPACE and current.hnsw == default_hnsw(threads)
    return legacy if has_defaults else current


def validate_single_index(configuration: Mapping[str, Any]) -> None:
    """Raise InvalidArgument when a configuration has both types of index."""
    if configuration.get("hnsw") is not None and configuration.get("spann") is not None:
        raise InvalidArgument("Multiple vector index configurations provided")


def merge_parameters(hnsw: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `hnsw`, overridden by the known parameters in `changes` that are not None."""
    merged = dict(hnsw)
    for name, value in changes.items():
        if value is not None and name in merged:
            merged[name] = float(value) if name == "resize_factor" else value
    return merged


def _index(parameters: Mapping[str, Any], function: dict[str, Any] | None, threads: int) -> VectorIndex:
    return VectorIndex(
        parameters.get("space") or DEFAULT_SPACE, merge_parameters(default_hnsw(threads), parameters), function
    )


def legacy_parameters(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters in the `hnsw:*` keys of a collection's metadata. Raises InvalidArgument."""
    parameters: dict[str, Any] = {}
    for key, value in metadata.items():
        if not key.startswith("hnsw:"):
            continue
        name = _LEGACY.get(key)
        if name is None or not _fits(name, value):
            raise InvalidArgument("Failed to parse hnsw parameters from segment metadata")
        parameters[name] = value
    return parameters


def _fits(name: str, value: object) -> bool:
    if name == "space":
        return value in SPACES
    if isinstance(value, bool):
        return False
    if name == "resize_factor":
        return isinstance(value, int | float)
    minimum = MIN_BATCH if name in {"batch_size", "sync_threshold"} else 0
    return isinstance(value, int) and value >= minimum
