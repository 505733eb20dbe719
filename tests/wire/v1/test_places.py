"""System routes, tenants and databases of v1."""

import time

import pytest

from tests.wire.face import Face, refused
from tests.wire.v1.conftest import Call


@pytest.mark.parametrize("path", ["", "/heartbeat"])
def test_heartbeat(call: Call, path: str) -> None:
    assert abs(call("GET", path).json()["nanosecond heartbeat"] / 1e9 - time.time()) < 60


def test_what_clients_ask_first(call: Call) -> None:
    assert call("GET", "/version").json() == "0.5.15"
    assert call("GET", "/pre-flight-checks").json() == {"max_batch_size": 5461}
    assert call("GET", "/tenants/default_tenant").json() == {"name": "default_tenant"}
    found = call("GET", "/databases/default_database").json()
    assert (found["name"], found["tenant"]) == ("default_database", "default_tenant")


def test_reset_is_off(call: Call) -> None:
    refused(call("POST", "/reset"), 403, "Reset is disabled by config")


def test_tenants_and_databases(call: Call, face: Face) -> None:
    assert call("POST", "/tenants", {"name": "old ten"}).json() is None
    refused(
        call("POST", "/tenants", {"name": "old ten"}), 409, "Tenant old ten already exists", "UniqueConstraintError"
    )
    assert call("GET", "/tenants/old%20ten").json() == {"name": "old ten"}
    refused(call("GET", "/tenants/nosuch"), 404, "Tenant nosuch not found")
    assert call("POST", "/databases?tenant=old+ten", {"name": "dbs"}).json() is None
    refused(
        call("POST", "/databases?tenant=old+ten", {"name": "dbs"}),
        409,
        "Database dbs already exists for tenant old ten",
        "UniqueConstraintError",
    )
    found = call("GET", "/databases/dbs?tenant=old%20ten").json()
    assert found == face.call("GET", "/api/v2/tenants/old%20ten/databases/dbs").json()
    refused(
        call("GET", "/databases/nosuch?tenant=old%20ten"),
        404,
        "Database nosuch not found for tenant old ten. Are you sure it exists?",
    )
    refused(call("POST", "/databases?tenant=nosuch", {"name": "dbs"}), 404, "Tenant nosuch not found")


def test_a_place_is_a_part_of_the_query(call: Call, face: Face) -> None:
    call("POST", "/tenants", {"name": "placed"})
    call("POST", "/databases?tenant=placed", {"name": "first"})
    place = "?tenant=placed&database=first"
    made = call("POST", "/collections" + place, {"name": "elsewhere"}).json()
    assert (made["tenant"], made["database"]) == ("placed", "first")
    assert call("GET", "/count_collections" + place).json() == 1
    assert [each["id"] for each in call("GET", "/collections" + place).json()] == [made["id"]]
    assert call("GET", "/collections/elsewhere" + place).json()["id"] == made["id"]
    refused(call("GET", "/collections/elsewhere"), 400, "Collection elsewhere does not exist.", "InvalidCollection")
    # Records are reached by the id alone, wherever the collection is.
    assert call("POST", f"/collections/{made['id']}/add", {"ids": ["a"], "embeddings": [[1]]}).status_code == 201
    assert call("GET", f"/collections/{made['id']}/count").json() == 1
    of_v2 = f"/api/v2/tenants/placed/databases/first/collections/{made['id']}"
    assert face.call("POST", of_v2 + "/get", {}).json()["ids"] == ["a"]
    assert call("DELETE", "/collections/elsewhere" + place).json() is None
    assert call("GET", "/collections" + place).json() == []
    assert call("GET", "/count_collections?tenant=nosuch&database=nosuch").json() == 0
    refused(
        call("POST", "/collections?tenant=nosuch", {"name": "abc"}), 400, "Database [default_database] does not exist"
    )
