"""System routes, tenants and databases of v1."""

import time

import pytest

from tests.wire.clients import ApiClient, assert_error
from tests.wire.v1.conftest import Call


@pytest.mark.parametrize("path", ["", "/heartbeat"])
def test_heartbeat(call: Call, path: str) -> None:
    assert abs(call("GET", path).json()["nanosecond heartbeat"] / 1e9 - time.time()) < 60


def test_what_clients_ask_first(call: Call) -> None:
    assert call("GET", "/version").json() == "0.5.15"
    assert call("GET", "/pre-flight-checks").json() == {"max_batch_size": 5461}
    assert call("GET", "/tenants/default_tenant").json() == {"name": "default_tenant"}
    result = call("GET", "/databases/default_database").json()
    assert (result["name"], result["tenant"]) == ("default_database", "default_tenant")


def test_reset_is_off(call: Call) -> None:
    assert_error(call("POST", "/reset"), 403, "Reset is disabled by config")


def test_tenants_and_databases(call: Call, api_client: ApiClient) -> None:
    assert call("POST", "/tenants", {"name": "old ten"}).json() is None
    assert_error(
        call("POST", "/tenants", {"name": "old ten"}), 409, "Tenant old ten already exists", "UniqueConstraintError"
    )
    assert call("GET", "/tenants/old%20ten").json() == {"name": "old ten"}
    assert_error(call("GET", "/tenants/nosuch"), 404, "Tenant nosuch not found")
    assert call("POST", "/databases?tenant=old+ten", {"name": "dbs"}).json() is None
    assert_error(
        call("POST", "/databases?tenant=old+ten", {"name": "dbs"}),
        409,
        "Database dbs already exists for tenant old ten",
        "UniqueConstraintError",
    )
    result = call("GET", "/databases/dbs?tenant=old%20ten").json()
    assert result == api_client.request("GET", "/api/v2/tenants/old%20ten/databases/dbs").json()
    assert_error(
        call("GET", "/databases/nosuch?tenant=old%20ten"),
        404,
        "Database nosuch not found for tenant old ten. Are you sure it exists?",
    )
    assert_error(call("POST", "/databases?tenant=nosuch", {"name": "dbs"}), 404, "Tenant nosuch not found")


def test_a_place_is_a_part_of_the_query(call: Call, api_client: ApiClient) -> None:
    call("POST", "/tenants", {"name": "placed"})
    call("POST", "/databases?tenant=placed", {"name": "first"})
    place = "?tenant=placed&database=first"
    created = call("POST", "/collections" + place, {"name": "elsewhere"}).json()
    assert (created["tenant"], created["database"]) == ("placed", "first")
    assert call("GET", "/count_collections" + place).json() == 1
    assert [item["id"] for item in call("GET", "/collections" + place).json()] == [created["id"]]
    assert call("GET", "/collections/elsewhere" + place).json()["id"] == created["id"]
    assert_error(
        call("GET", "/collections/elsewhere"), 400, "Collection elsewhere does not exist.", "InvalidCollection"
    )
    # Records are reached by the id alone, wherever the collection is.
    assert call("POST", f"/collections/{created['id']}/add", {"ids": ["a"], "embeddings": [[1]]}).status_code == 201
    assert call("GET", f"/collections/{created['id']}/count").json() == 1
    of_v2 = f"/api/v2/tenants/placed/databases/first/collections/{created['id']}"
    assert api_client.request("POST", of_v2 + "/get", {}).json()["ids"] == ["a"]
    assert call("DELETE", "/collections/elsewhere" + place).json() is None
    assert call("GET", "/collections" + place).json() == []
    assert call("GET", "/count_collections?tenant=nosuch&database=nosuch").json() == 0
    assert_error(
        call("POST", "/collections?tenant=nosuch", {"name": "abc"}), 400, "Database [default_database] does not exist"
    )
