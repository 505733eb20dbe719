"""Tenants and databases."""

from itertools import count

import pytest

from tests.wire.clients import API, ApiClient, assert_error, assert_invalid_body

TENANTS = API + "/tenants"

_names = count()


@pytest.fixture
def tenant(api_client: ApiClient) -> str:
    name = f"tenant-{next(_names)}"
    assert api_client.request("POST", TENANTS, {"name": name}).json() == {}
    return name


def test_a_tenant(api_client: ApiClient, tenant: str) -> None:
    assert api_client.request("GET", f"{TENANTS}/{tenant}").json() == {"name": tenant, "resource_name": None}
    assert_error(api_client.request("POST", TENANTS, {"name": tenant}), 409, f"Tenant [{tenant}] already exists")


def test_a_missing_tenant(api_client: ApiClient) -> None:
    assert_error(api_client.request("GET", TENANTS + "/nosuch"), 404, "Tenant [nosuch] not found")
    response = api_client.request("PATCH", TENANTS + "/nosuch", {"resource_name": "r"})
    assert_error(response, 404, "Tenant [nosuch] not found")
    response = api_client.request("POST", TENANTS + "/nosuch/databases", {"name": "abc"})
    assert_error(response, 404, "Tenant [nosuch] not found")
    assert api_client.request("GET", TENANTS + "/nosuch/databases").json() == []


@pytest.mark.parametrize("name", ["a/b", "ééé", "   ", "...", "a%b", "a?b#c", "naïve name+x"])
def test_tenants_have_any_name(api_client: ApiClient, name: str) -> None:
    from urllib.parse import quote

    api_client.request("POST", TENANTS, {"name": name})
    response = api_client.request("GET", f"{TENANTS}/{quote(name, safe='')}")
    assert response.json() == {"name": name, "resource_name": None}


def test_wrong_tenants(api_client: ApiClient) -> None:
    response = api_client.request("POST", TENANTS, {"name": "ab"})
    text = 'Validation error: name: Validation error: length [{"value": String("ab"), "min": Number(3)}]'
    assert_error(response, 400, text)
    assert_invalid_body(api_client.request("POST", TENANTS, {}), "missing field `name`")
    assert_invalid_body(
        api_client.request("POST", TENANTS, {"name": None}), "name: invalid type: null, expected a string"
    )
    assert_invalid_body(
        api_client.request("POST", TENANTS, {"name": 1}), "name: invalid type: integer `1`, expected a string"
    )
    assert_invalid_body(api_client.request("POST", TENANTS, content=b"[]"), "invalid type: sequence, expected a map")
    assert_invalid_body(api_client.request("POST", TENANTS, content=b"null"), "invalid type: null, expected a map")


def test_a_resource_name(api_client: ApiClient, tenant: str) -> None:
    path = f"{TENANTS}/{tenant}"
    assert_invalid_body(api_client.request("PATCH", path, {}), "missing field `resource_name`")
    assert api_client.request("PATCH", path, {"resource_name": tenant + "-r"}).json() == {}
    assert api_client.request("GET", path).json() == {"name": tenant, "resource_name": tenant + "-r"}
    response = api_client.request("PATCH", path, {"resource_name": "other"})
    assert response.status_code == 409


def test_databases(api_client: ApiClient, tenant: str) -> None:
    path = f"{TENANTS}/{tenant}/databases"
    for name in ("zebra", "apple", "mango"):
        assert api_client.request("POST", path, {"name": name}).json() == {}
    assert_error(api_client.request("POST", path, {"name": "apple"}), 409, "Database [apple] already exists")
    result = api_client.request("GET", path).json()
    assert [item["name"] for item in result] == ["apple", "mango", "zebra"]
    assert result[0] == api_client.request("GET", f"{path}/apple").json()
    assert set(result[0]) == {"id", "name", "tenant"}
    assert result[0]["tenant"] == tenant
    paged = api_client.request("GET", path + "?limit=1&offset=1").json()
    assert [item["name"] for item in paged] == ["mango"]
    assert api_client.request("GET", path + "?limit=0").json() == []


def test_a_dropped_database(api_client: ApiClient, tenant: str) -> None:
    path = f"{TENANTS}/{tenant}/databases"
    api_client.request("POST", path, {"name": "abc"})
    collection = api_client.collection(f"{path}/abc").add(ids=["a"], embeddings=[[1]])
    assert api_client.request("DELETE", path + "/abc").json() == {}
    assert_error(api_client.request("DELETE", path + "/abc"), 404, "Database [abc] not found")
    assert_error(api_client.request("GET", path + "/abc"), 404, "Database [abc] not found. Are you sure it exists?")
    assert api_client.request("GET", path + "/abc/collections").json() == []
    assert api_client.request("GET", path + "/abc/collections_count").json() == 0
    assert collection.get("count").status_code == 404
    assert_error(api_client.request("DELETE", path + "/ab"), 404, "Database [ab] not found")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "ab",
            (
                "Expected a name containing 3-512 characters from [a-zA-Z0-9._-], "
                "starting and ending with a character in [a-zA-Z0-9]. Got: ab"
            ),
        ),
        ("a..b", "Expected a name that does not contains two consecutive periods (..). Got a..b"),
        ("1.2.3.4", "Expected a name that is not a valid ip address. Got 1.2.3.4"),
    ],
)
def test_wrong_database_names(api_client: ApiClient, tenant: str, name: str, text: str) -> None:
    assert_error(api_client.request("POST", f"{TENANTS}/{tenant}/databases", {"name": name}), 400, text)
