"""Tenants and databases."""

from itertools import count

import pytest

from tests.wire.face import API, Face, malformed, refused

TENANTS = API + "/tenants"

_names = count()


@pytest.fixture
def tenant(face: Face) -> str:
    name = f"tenant-{next(_names)}"
    assert face.call("POST", TENANTS, {"name": name}).json() == {}
    return name


def test_a_tenant(face: Face, tenant: str) -> None:
    assert face.call("GET", f"{TENANTS}/{tenant}").json() == {"name": tenant, "resource_name": None}
    refused(face.call("POST", TENANTS, {"name": tenant}), 409, f"Tenant [{tenant}] already exists")


def test_a_missing_tenant(face: Face) -> None:
    refused(face.call("GET", TENANTS + "/nosuch"), 404, "Tenant [nosuch] not found")
    answer = face.call("PATCH", TENANTS + "/nosuch", {"resource_name": "r"})
    refused(answer, 404, "Tenant [nosuch] not found")
    answer = face.call("POST", TENANTS + "/nosuch/databases", {"name": "abc"})
    refused(answer, 404, "Tenant [nosuch] not found")
    assert face.call("GET", TENANTS + "/nosuch/databases").json() == []


@pytest.mark.parametrize("name", ["a/b", "ééé", "   ", "...", "a%b", "a?b#c", "naïve name+x"])
def test_tenants_have_any_name(face: Face, name: str) -> None:
    from urllib.parse import quote

    face.call("POST", TENANTS, {"name": name})
    answer = face.call("GET", f"{TENANTS}/{quote(name, safe='')}")
    assert answer.json() == {"name": name, "resource_name": None}


def test_wrong_tenants(face: Face) -> None:
    answer = face.call("POST", TENANTS, {"name": "ab"})
    text = 'Validation error: name: Validation error: length [{"value": String("ab"), "min": Number(3)}]'
    refused(answer, 400, text)
    malformed(face.call("POST", TENANTS, {}), "missing field `name`")
    malformed(face.call("POST", TENANTS, {"name": None}), "name: invalid type: null, expected a string")
    malformed(face.call("POST", TENANTS, {"name": 1}), "name: invalid type: integer `1`, expected a string")
    malformed(face.call("POST", TENANTS, content=b"[]"), "invalid type: sequence, expected a map")
    malformed(face.call("POST", TENANTS, content=b"null"), "invalid type: null, expected a map")


def test_a_resource_name(face: Face, tenant: str) -> None:
    path = f"{TENANTS}/{tenant}"
    malformed(face.call("PATCH", path, {}), "missing field `resource_name`")
    assert face.call("PATCH", path, {"resource_name": tenant + "-r"}).json() == {}
    assert face.call("GET", path).json() == {"name": tenant, "resource_name": tenant + "-r"}
    answer = face.call("PATCH", path, {"resource_name": "other"})
    assert answer.status_code == 409


def test_databases(face: Face, tenant: str) -> None:
    path = f"{TENANTS}/{tenant}/databases"
    for name in ("zebra", "apple", "mango"):
        assert face.call("POST", path, {"name": name}).json() == {}
    refused(face.call("POST", path, {"name": "apple"}), 409, "Database [apple] already exists")
    found = face.call("GET", path).json()
    assert [each["name"] for each in found] == ["apple", "mango", "zebra"]
    assert found[0] == face.call("GET", f"{path}/apple").json()
    assert set(found[0]) == {"id", "name", "tenant"}
    assert found[0]["tenant"] == tenant
    paged = face.call("GET", path + "?limit=1&offset=1").json()
    assert [each["name"] for each in paged] == ["mango"]
    assert face.call("GET", path + "?limit=0").json() == []


def test_a_dropped_database(face: Face, tenant: str) -> None:
    path = f"{TENANTS}/{tenant}/databases"
    face.call("POST", path, {"name": "abc"})
    collection = face.collection(f"{path}/abc").add(ids=["a"], embeddings=[[1]])
    assert face.call("DELETE", path + "/abc").json() == {}
    refused(face.call("DELETE", path + "/abc"), 404, "Database [abc] not found")
    refused(face.call("GET", path + "/abc"), 404, "Database [abc] not found. Are you sure it exists?")
    assert face.call("GET", path + "/abc/collections").json() == []
    assert face.call("GET", path + "/abc/collections_count").json() == 0
    assert collection.get("count").status_code == 404
    refused(face.call("DELETE", path + "/ab"), 404, "Database [ab] not found")


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
def test_wrong_database_names(face: Face, tenant: str, name: str, text: str) -> None:
    refused(face.call("POST", f"{TENANTS}/{tenant}/databases", {"name": name}), 400, text)
