"""Collections as v1 shows them, and as the clients 0.5.16 to 0.6.3 read them over v2."""

from typing import Any

import httpx
import orjson
import pytest

from tests.wire.clients import DATABASE, ApiClient, assert_error
from tests.wire.v1.conftest import Call

MISSING = "00000000-0000-4000-8000-000000000000"
AS_SENT = {
    "space": "ip",
    "ef_construction": 120,
    "ef_search": 13,
    "num_threads": 3,
    "M": 17,
    "resize_factor": 1.3,
    "batch_size": 101,
    "sync_threshold": 1001,
    "_type": "HNSWConfigurationInternal",
}


def typed(**parameters: Any) -> dict[str, Any]:
    return {"hnsw_configuration": AS_SENT | parameters, "_type": "CollectionConfigurationInternal"}


def refused_collection(response: httpx.Response, name: str) -> None:
    assert_error(response, 400, f"Collection {name} does not exist.", "InvalidCollection")


def test_a_configuration_comes_back_as_it_was_sent(call: Call, api_client: ApiClient) -> None:
    made = call("POST", "/collections", {"name": "typed", "configuration": typed(), "get_or_create": False}).json()
    assert made == {
        "id": made["id"],
        "name": "typed",
        "configuration_json": typed(),
        "metadata": None,
        "dimension": None,
        "tenant": "default_tenant",
        "database": "default_database",
        "log_position": 0,
        "version": 0,
    }
    assert call("GET", "/collections/typed").json() == made
    hnsw = api_client.request("GET", DATABASE + "/collections/typed").json()["configuration_json"]["hnsw"]
    assert (hnsw["space"], hnsw["max_neighbors"], hnsw["ef_search"]) == ("ip", 17, 13)


def test_values_unknown_to_old_clients_are_left_out(call: Call, api_client: ApiClient) -> None:
    hnsw = {"ef_search": 0, "max_neighbors": 0, "batch_size": 5000, "resize_factor": 0.5, "num_threads": 0}
    api_client.collection(name="absurd", configuration={"hnsw": hnsw})
    shown = call("GET", "/collections/absurd").json()["configuration_json"]["hnsw_configuration"]
    assert shown == AS_SENT | {
        "space": "l2",
        "ef_construction": 100,
        "ef_search": 1,
        "num_threads": 1,
        "M": 1,
        "resize_factor": 1.0,
        "batch_size": 1000,
        "sync_threshold": 1000,
    }


def test_metadata_configures_the_index(call: Call) -> None:
    made = call("POST", "/collections", {"name": "cosine", "metadata": {"hnsw:space": "cosine", "k": 1}}).json()
    assert made["metadata"] == {"hnsw:space": "cosine", "k": 1}
    assert made["configuration_json"]["hnsw_configuration"]["space"] == "cosine"
    again = call("POST", "/collections", {"name": "cosine", "metadata": {"new": 1}, "get_or_create": True}).json()
    assert again == made
    assert_error(
        call("POST", "/collections", {"name": "cosine"}),
        409,
        "Collection cosine already exists",
        "UniqueConstraintError",
    )


def test_empty_metadata_is_none(call: Call, created: dict[str, Any]) -> None:
    assert call("POST", "/collections", {"name": "bare", "metadata": {}}).json()["metadata"] is None
    path = f"/collections/{created['id']}"
    assert call("PUT", path, {"new_metadata": {"a": 1}}).json() is None
    assert call("PUT", path, {"new_metadata": {}}).json() is None
    assert call("GET", f"/collections/{created['name']}").json()["metadata"] == {"a": 1}


def test_rename(call: Call, created: dict[str, Any]) -> None:
    call("POST", "/collections", {"name": "taken"})
    path = f"/collections/{created['id']}"
    assert call("PUT", path, {"new_name": "renamed", "new_metadata": None}).json() is None
    assert call("GET", "/collections/renamed").json()["id"] == created["id"]
    refused_collection(call("GET", f"/collections/{created['name']}"), created["name"])
    assert_error(
        call("PUT", path, {"new_name": "taken"}), 409, "Collection taken already exists", "UniqueConstraintError"
    )
    refused_collection(call("PUT", f"/collections/{MISSING}", {"new_name": "abc"}), MISSING)
    assert_error(call("PUT", "/collections/nouuid", {}), 400, "Could not parse nouuid as a UUID", "InvalidUUID")


def test_a_collection_is_found_and_dropped_by_id_too(call: Call, created: dict[str, Any]) -> None:
    path = f"/collections/{created['id']}"
    assert call("GET", path).json() == created
    assert call("DELETE", path).json() is None
    refused_collection(call("GET", path), created["id"])
    refused_collection(call("DELETE", f"/collections/{created['name']}"), created["name"])


def test_pages_of_a_list(call: Call, created: dict[str, Any]) -> None:
    everything = call("GET", "/collections").json()
    assert created in everything
    assert call("GET", "/collections?limit=1&offset=1").json() == everything[1:2]
    assert call("GET", "/count_collections").json() == len(everything)


def test_the_first_clients_know_three_keys_of_a_listed_collection(call: Call, created: dict[str, Any]) -> None:
    listed = call("GET", "/collections", agent="python-requests/2.31.0").json()
    assert {"id": created["id"], "name": created["name"], "metadata": None} in listed
    assert {tuple(item) for item in listed} == {("id", "name", "metadata")}


class TestOldClientsOfV2:
    """Clients 0.5.16 to 0.6.3: a bare httpx, and no Content-Type."""

    @pytest.fixture
    def send(self, api_client: ApiClient) -> Call:
        def old(method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
            content = None if body is None else orjson.dumps(body)
            agent = {"user-agent": "python-httpx/0.28.1"}
            return api_client.http.request(method, DATABASE + path, content=content, headers=agent | headers)

        return old

    def test_they_read_the_old_form(self, send: Call) -> None:
        made = send("POST", "/collections", {"name": "between", "configuration": typed()}).json()
        assert made["configuration_json"] == typed()
        assert "schema" not in made
        assert send("GET", "/collections/between").json() == made
        assert send("GET", f"/collections/by-id/{made['id']}").json() == made
        assert made in send("GET", "/collections").json()

    def test_whoever_says_more_of_itself_reads_the_present_form(self, send: Call) -> None:
        send("POST", "/collections", {"name": "both", "configuration": None})
        payload = {"user-agent": "Chroma Python Client v1.5.9 (https://github.com/chroma-core/chroma)"}
        for headers in (payload, {"content-type": "application/json"}):
            assert "schema" in send("GET", "/collections/both", **headers).json()
