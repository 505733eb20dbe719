"""Converts a collection between the current JSON form and that of clients before 1.0, which contains class names.

`_type` names the class of the client's own code that parses an object. The client refuses objects with unknown keys,
and values out of its range::

    {"hnsw_configuration": {"space", "ef_construction", …, "M", "_type": "HNSWConfigurationInternal"},
     "_type": "CollectionConfigurationInternal"}

All v1 clients need this form, and so do the clients 0.5.16 to 0.6.3, which speak v2.
"""

from collections.abc import Mapping
from typing import Any

from afterglow.api.http.handler import Request

_RENAMED = {"M": "max_neighbors"}
_PARAMETERS = (
    "space",
    "ef_construction",
    "ef_search",
    "num_threads",
    "M",
    "resize_factor",
    "batch_size",
    "sync_threshold",
)


def is_old_client(request: Request) -> bool:
    """Whether a v2 request comes from a client before 1.0: plain httpx without a content type.

    Later clients send their own user agent and declare JSON.
    """
    agent = request.headers.get(b"user-agent", b"")
    return agent.startswith(b"python-httpx/") and b"content-type" not in request.headers


def to_legacy_collection(collection: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a collection's v2 JSON to the old form."""
    without_schema = {name: value for name, value in collection.items() if name != "schema"}
    return without_schema | {"configuration_json": _configuration_json(collection["schema"])}


def from_legacy_configuration(configuration: Any) -> Any:
    """Convert a create request's configuration from the old form to the current one, if it is in the old form."""
    if not isinstance(configuration, dict) or not isinstance(configuration.get("hnsw_configuration"), dict):
        return configuration
    legacy_hnsw: dict[str, Any] = configuration["hnsw_configuration"]
    hnsw = {_RENAMED.get(name, name): legacy_hnsw[name] for name in _PARAMETERS if name in legacy_hnsw}
    others = {name: value for name, value in configuration.items() if name not in ("hnsw_configuration", "_type")}
    return others | {"hnsw": hnsw}


def _configuration_json(schema: Mapping[str, Any]) -> dict[str, Any]:
    config = schema["keys"]["#embedding"]["float_list"]["vector_index"]["config"]
    hnsw = {"space": config["space"]} | config["hnsw"]
    legacy_hnsw = {name: hnsw[_RENAMED.get(name, name)] for name in _PARAMETERS}
    # Old clients refuse values that v2 accepts: zeros, and batches over the threshold.
    legacy_hnsw |= {name: max(1, value) for name, value in legacy_hnsw.items() if name != "space"}
    legacy_hnsw["resize_factor"] = float(legacy_hnsw["resize_factor"])
    legacy_hnsw["batch_size"] = min(legacy_hnsw["batch_size"], legacy_hnsw["sync_threshold"])
    return {
        "hnsw_configuration": legacy_hnsw | {"_type": "HNSWConfigurationInternal"},
        "_type": "CollectionConfigurationInternal",
    }
