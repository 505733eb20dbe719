"""The vector index's configuration: what a create request asks for, in its two spellings.

A request configures the index by `configuration.hnsw`, or, as clients did before there was one, by `hnsw:*` keys of the
collection's metadata. The metadata speaks only where `configuration.hnsw` says nothing that differs from the default.
`configuration.spann` is an index that a local server does not have: its space is taken, the rest ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from afterglow.errors import InvalidArgument

SPACES = ("l2", "cosine", "ip")
DEFAULT_SPACE = "l2"
LEAST_BATCH = 2

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
    """A vector index as configured; `hnsw` has every parameter of `default_hnsw`."""

    space: str
    hnsw: dict[str, Any]
    embedding_function: dict[str, Any] | None

    def is_default(self, threads: int) -> bool:
        """Whether nothing was asked for that the default would not give."""
        return (
            self.space == DEFAULT_SPACE
            and self.hnsw == default_hnsw(threads)
            and is_default_function(self.embedding_function)
        )


def default_hnsw(threads: int) -> dict[str, Any]:
    """The parameters of an index of which nothing was said, in the wire's order."""
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
    """Whether an embedding function is what a client sends when its user chose none."""
    if function is None or function["type"] == "unknown":
        return True
    return bool(function["type"] == "known" and function["name"] == "default")


def requested_index(
    configuration: Mapping[str, Any] | None, metadata: Mapping[str, Any] | None, threads: int
) -> VectorIndex:
    """The index that a create request asks for. Raises InvalidArgument."""
    asked = configuration or {}
    function = asked.get("embedding_function")
    validate_single_index(asked)
    spann = asked.get("spann")
    if spann is not None:
        return VectorIndex(spann.get("space") or DEFAULT_SPACE, default_hnsw(threads), function)
    wanted = _index(asked.get("hnsw") or {}, function, threads)
    legacy = _index(_legacy_parameters(metadata or {}), function, threads)
    untouched = wanted.space == DEFAULT_SPACE and wanted.hnsw == default_hnsw(threads)
    return legacy if untouched else wanted


def validate_single_index(configuration: Mapping[str, Any]) -> None:
    """Raise InvalidArgument when a configuration names both kinds of index."""
    if configuration.get("hnsw") is not None and configuration.get("spann") is not None:
        raise InvalidArgument("Multiple vector index configurations provided")


def merge_parameters(hnsw: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters `hnsw` with those of `asked` that are given and known."""
    merged = dict(hnsw)
    for name, value in asked.items():
        if value is not None and name in merged:
            merged[name] = float(value) if name == "resize_factor" else value
    return merged


def _index(asked: Mapping[str, Any], function: dict[str, Any] | None, threads: int) -> VectorIndex:
    return VectorIndex(asked.get("space") or DEFAULT_SPACE, merge_parameters(default_hnsw(threads), asked), function)


def _legacy_parameters(metadata: Mapping[str, Any]) -> dict[str, Any]:
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
    least = LEAST_BATCH if name in {"batch_size", "sync_threshold"} else 0
    return isinstance(value, int) and value >= least
