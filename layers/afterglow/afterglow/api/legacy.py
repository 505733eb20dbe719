"""A collection as clients before 1.0 read and write it: its index parameters with the names of classes among them.

`_type` says which class of the client's own code is meant to read an object, and the client refuses objects with keys
it does not know, and values out of its range::

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


def is_old_client(call: Request) -> bool:
    """Whether a v2 call comes from a client before 1.0: a bare httpx that declares no type for what it sends.

    Later clients say who they are, and that they send JSON.
    """
    agent = call.headers.get(b"user-agent", b"")
    return agent.startswith(b"python-httpx/") and b"content-type" not in call.headers


def collection(answered: Mapping[str, Any]) -> dict[str, Any]:
    """A collection's JSON as v2 has it, in the old form."""
    old = {name: value for name, value in answered.items() if name != "schema"}
    return old | {"configuration_json": _configuration_json(answered["schema"])}


def requested_configuration(configuration: Any) -> Any:
    """A create request's configuration, which may be in the old form, in the present one."""
    if not isinstance(configuration, dict) or not isinstance(configuration.get("hnsw_configuration"), dict):
        return configuration
    given: dict[str, Any] = configuration["hnsw_configuration"]
    hnsw = {_RENAMED.get(name, name): given[name] for name in _PARAMETERS if name in given}
    rest = {name: value for name, value in configuration.items() if name not in ("hnsw_configuration", "_type")}
    return rest | {"hnsw": hnsw}


def _configuration_json(schema: Mapping[str, Any]) -> dict[str, Any]:
    config = schema["keys"]["#embedding"]["float_list"]["vector_index"]["config"]
    hnsw = {"space": config["space"]} | config["hnsw"]
    shown = {name: hnsw[_RENAMED.get(name, name)] for name in _PARAMETERS}
    # Clients refuse what a collection may well have been given over v2: zeros, and batches over the threshold.
    shown |= {name: max(1, value) for name, value in shown.items() if name != "space"}
    shown["resize_factor"] = float(shown["resize_factor"])
    shown["batch_size"] = min(shown["batch_size"], shown["sync_threshold"])
    return {
        "hnsw_configuration": shown | {"_type": "HNSWConfigurationInternal"},
        "_type": "CollectionConfigurationInternal",
    }
