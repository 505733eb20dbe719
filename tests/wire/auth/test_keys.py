"""Keys over HTTP: an admin of a tenant manages its keys and learns of no others."""

from collections.abc import Iterator
from typing import Any

import pytest

from afterglow.api.v2 import keys as handlers
from afterglow.auth import Role
from afterglow.settings import Settings
from tests.wire.auth.auth_fixture import MOMENT, V2, AuthFixture, auth_fixture

TENANT = "default_tenant"
KEYS = f"{V2}/tenants/{TENANT}/keys"
COLLECTIONS = f"{V2}/tenants/{TENANT}/databases/default_database/collections"


@pytest.fixture
def server() -> Iterator[AuthFixture]:
    with auth_fixture() as created:
        yield created


@pytest.fixture
def admin(server: AuthFixture) -> str:
    return server.key(Role.ADMIN, TENANT)


def create(server: AuthFixture, admin: str, **body: Any) -> dict[str, Any]:
    response = server.ask("POST", KEYS, body, admin)
    assert response.status == 200, response.body
    created: dict[str, Any] = response.json()
    return created


def test_a_key_is_created_used_listed_and_revoked(server: AuthFixture, admin: str) -> None:
    server.later(1)
    created = create(server, admin, role="reader", name="ann")
    key = created.pop("key")
    assert created == {
        "id": key[2:14],
        "name": "ann",
        "role": "reader",
        "tenant": TENANT,
        "databases": None,
        "filters": None,
        "created": int(MOMENT) + 1,
        "creator": admin[2:14],
    }
    assert server.ask("GET", COLLECTIONS, key=key).status == 200
    assert server.ask("POST", COLLECTIONS, {"name": "new"}, key).status == 403
    listed = server.ask("GET", KEYS, key=admin).json()
    assert [(item["id"], item["creator"]) for item in listed] == [(admin[2:14], None), (key[2:14], admin[2:14])]
    assert listed[1] == created
    assert server.ask("GET", KEYS + "?limit=1&offset=1", key=admin).json() == listed[1:]
    assert key[14:] not in str(listed)
    assert server.ask("DELETE", f"{KEYS}/{created['id']}", key=admin).status == 200
    assert server.ask("DELETE", f"{KEYS}/{created['id']}", key=admin).status == 404
    server.later(Settings().auth_cache_seconds)
    assert server.ask("GET", COLLECTIONS, key=key).status == 401


def test_a_key_with_filters_sees_what_they_select(server: AuthFixture, admin: str) -> None:
    made = server.ask("POST", COLLECTIONS, {"name": "books"}, admin).json()["id"]
    body = {"ids": ["a", "b"], "embeddings": [[1], [2]], "metadatas": [{"owner": "ann"}, {"owner": "bob"}]}
    assert server.ask("POST", f"{COLLECTIONS}/{made}/add", body, admin).status == 201
    created = create(server, admin, role="reader", databases=["default_database"], filters={"books": {"owner": "ann"}})
    assert (created["databases"], created["filters"]) == (["default_database"], {"books": {"owner": "ann"}})
    assert server.ask("POST", f"{COLLECTIONS}/{made}/get", {}, created["key"]).json()["ids"] == ["a"]
    assert server.ask("GET", KEYS, key=created["key"]).status == 403


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"role": "owner"}, 422, "role"),
        ({"role": "reader", "name": "x" * 101}, 422, "name"),
        ({"role": "reader", "name": "a\nb"}, 400, "printable"),
        ({"role": "reader", "databases": ["none"]}, 404, "none"),
        ({"role": "reader", "databases": []}, 400, "at least one database"),
        ({"role": "reader", "filters": {}}, 400, "at least one filter"),
        ({"role": "reader", "filters": {"books": {}}}, 400, "filter of books"),
        ({"role": "admin", "filters": {"books": {"a": 1}}}, 400, "a reader or a writer"),
        ({"role": "reader", "filters": {"books": {"a": "x" * 100_000}}}, 400, "100,000 bytes"),
    ],
)
def test_a_wrong_key_is_refused(
    server: AuthFixture, admin: str, body: dict[str, Any], status: int, message: str
) -> None:
    response = server.ask("POST", KEYS, body, admin)
    assert response.status == status, response.body
    assert message in response.json()["message"]
    assert len(server.ask("GET", KEYS, key=admin).json()) == 1


def test_keys_outside_the_tenant_do_not_exist(server: AuthFixture, admin: str) -> None:
    everything = server.key(Role.ADMIN, None)
    server.engine.catalog.create_tenant("other")
    others = [server.key(Role.ADMIN, "other"), everything]
    assert [item["id"] for item in server.ask("GET", KEYS, key=admin).json()] == [admin[2:14]]
    for other in others:
        missing = server.ask("DELETE", f"{KEYS}/{'0' * 12}", key=admin)
        hidden = server.ask("DELETE", f"{KEYS}/{other[2:14]}", key=admin)
        assert hidden.status == missing.status == 404
        assert hidden.json()["message"] == missing.json()["message"].replace("0" * 12, other[2:14])
    assert server.ask("DELETE", f"{V2}/tenants/other/keys/{others[0][2:14]}", key=everything).status == 200
    assert server.ask("POST", f"{V2}/tenants/none/keys", {"role": "reader"}, everything).status == 404


@pytest.mark.parametrize("role", [Role.READER, Role.WRITER])
def test_only_an_admin_of_the_whole_tenant_manages_keys(server: AuthFixture, admin: str, role: Role) -> None:
    for key in (server.key(role, TENANT), server.key(Role.ADMIN, TENANT, ["default_database"])):
        for method, path in (("GET", KEYS), ("POST", KEYS), ("DELETE", f"{KEYS}/{admin[2:14]}")):
            assert server.ask(method, path, {"role": "reader"} if method == "POST" else None, key).status == 403


def test_a_server_without_keys_creates_none() -> None:
    with auth_fixture(Settings(auth="off")) as server:
        for method, path in (("GET", KEYS), ("POST", KEYS), ("DELETE", f"{KEYS}/{'0' * 12}")):
            response = server.ask(method, path, {"role": "admin"} if method == "POST" else None)
            assert (response.status, "does not use API keys" in response.json()["message"]) == (404, True)
        assert server.engine.keys.list() == []


def test_the_number_of_keys_is_bounded(server: AuthFixture, admin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "MAX_KEYS", 2)
    create(server, admin, role="reader")
    response = server.ask("POST", KEYS, {"role": "reader"}, admin)
    assert (response.status, len(server.engine.keys.list())) == (422, 2)
    assert "revoke some" in response.json()["message"]


@pytest.mark.parametrize("role", list(Role))
def test_the_identity_names_the_role_in_a_header(server: AuthFixture, role: Role) -> None:
    response = server.ask("GET", f"{V2}/auth/identity", key=server.key(role, TENANT))
    assert response.headers["afterglow-role"] == role.name.lower()
    assert set(response.json()) == {"user_id", "tenant", "databases"}
