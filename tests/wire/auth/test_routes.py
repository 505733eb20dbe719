"""Every route asks for what it declares, whoever calls it however."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from afterglow.api.http.route import Route
from afterglow.api.v2.routes import ROUTES
from afterglow.auth import Permission, Role
from afterglow.settings import Settings
from tests.wire.auth.auth_fixture import V1, V2, AppResponse, AuthFixture, auth_fixture

TENANT, DATABASE = "default_tenant", "default_database"
HOME = f"{V2}/tenants/{TENANT}/databases/{DATABASE}"
VALUES = {
    "tenant": TENANT,
    "database": DATABASE,
    "collection_id": "00000000-0000-4000-8000-000000000001",
    "crn": "a:b:c",
    "file": "docs.css",
    "function_name": "f",
    "key": "0" * 12,
    "import_id": "0",
}
CONSOLE = {"GET /", "GET /console", "GET /console/{file}"}
PUBLIC = {"GET /openapi.json", "GET /docs", "GET /docs/{file}", "GET /health", "GET /ready", *CONSOLE} | {
    f"GET {api}{path}"
    for api in (V1, V2)
    for path in ("", "/heartbeat", "/version", "/pre-flight-checks", "/healthcheck")
    if (api, path) != (V1, "/healthcheck")
}

route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


@pytest.fixture(scope="module")
def server() -> Iterator[AuthFixture]:
    with auth_fixture() as created:
        yield created


def send_request(
    fixture: AuthFixture, route: Route, key: str | None = None, tenant: str = TENANT, database: str = DATABASE
) -> AppResponse:
    values = VALUES | {"tenant": tenant, "database": database}
    if route.path.startswith("/console"):
        values["file"] = "console.css"
    path = re.sub(r"\{(\w+)\}", lambda result: values[result[1]], route.path)
    query = f"?tenant={tenant}&database={database}" if path.startswith(V1) else ""
    return fixture.ask(route.method, path + query, None if route.request is None else b"{}", key)


def assert_error(response: AppResponse, status: int) -> None:
    """The names that every client knows."""
    assert (response.status, response.json()["error"]) == (status, "AuthError")
    assert set(response.json()) == {"error", "message"}
    assert re.fullmatch("[0-9a-f]{32}", response.headers["chroma-trace-id"])
    assert ("www-authenticate" in response.headers) == (status == 401)


def is_refused(response: AppResponse) -> bool:
    return response.status in (401, 403) and response.json()["error"] == "AuthError"


def test_what_is_public_is_little() -> None:
    assert {f"{item.method} {item.path}" for item in ROUTES if item.permission is Permission.PUBLIC} == PUBLIC


def test_with_auth_system_routes_only_the_healthcheck_is_public() -> None:
    settings = Settings(auth="keys", auth_attempts_per_minute=0, auth_system_routes=True)
    with auth_fixture(settings) as created:
        key = created.key(Role.READER, TENANT, [DATABASE])
        for item in ROUTES:
            if item.permission is Permission.PUBLIC:
                is_healthcheck = item.path == f"{V2}/healthcheck"
                assert send_request(created, item).status == (200 if is_healthcheck else 401)
                assert send_request(created, item, key).status == 200
        described = created.ask("GET", "/openapi.json", None, key).json()["paths"]
        assert "security" in described[f"{V2}/version"]["get"]
        assert "security" not in described[f"{V2}/healthcheck"]["get"]


def test_without_authentication_auth_system_routes_changes_nothing() -> None:
    with auth_fixture(Settings(auth_system_routes=True)) as created:
        assert created.ask("GET", f"{V2}/heartbeat").status == 200


def test_a_route_requires_a_permission() -> None:
    with pytest.raises(TypeError, match="permission"):
        Route("GET", "/x", "x", lambda _context, _request: None, "", "")  # type: ignore[call-arg, arg-type, return-value]


@route
def test_a_stranger_learns_what_is_public(server: AuthFixture, route: Route) -> None:
    for key in (None, "wrong", "ag" + "0" * 55):
        response = send_request(server, route, key)
        if route.permission is Permission.PUBLIC:
            assert response.status == 200
        else:
            assert_error(response, 401)


@route
@pytest.mark.parametrize("role", list(Role))
def test_a_role_is_enough_or_not(route: Route, role: Role) -> None:
    enough = {
        Permission.PUBLIC: 0,
        Permission.AUTHENTICATED: 0,
        Permission.READ: 1,
        Permission.WRITE: 2,
        Permission.ADMIN: 3,
    }[route.permission]
    with auth_fixture() as created:
        response = send_request(created, route, created.key(role, None))
        assert is_refused(response) == (role < enough), response.body
        if role < enough:
            assert_error(response, 403)


@route
@pytest.mark.parametrize(("tenant", "database"), [("other", DATABASE), (TENANT, "other"), ("other", "other")])
def test_outside_of_its_scope_a_key_is_refused(server: AuthFixture, route: Route, tenant: str, database: str) -> None:
    key = server.key(Role.ADMIN, TENANT, [DATABASE])
    response = send_request(server, route, key, tenant, database)
    if route.permission in (Permission.PUBLIC, Permission.AUTHENTICATED):
        assert response.status == (200 if route.request is None else 422)
    elif route.scope_of is None:
        # What an id or a resource name leads to is not there.
        assert response.status in (400, 404, 422)
    else:
        names_tenant = route.scope_of.__name__ == "tenant_of_query" or "{tenant}" in route.path
        names_database = route.scope_of.__name__ == "place_of_query" or "{database}" in route.path
        inside = route.permission is Permission.READ and names_tenant and not names_database and tenant == TENANT
        assert is_refused(response) != inside, response.body


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{V2}/tenants", {"name": "another"}),
        ("POST", f"{V1}/tenants", {"name": "another"}),
        ("POST", f"{V2}/reset", None),
        ("POST", f"{V1}/reset", None),
        ("PATCH", f"{V2}/tenants/{TENANT}", {"resource_name": "mine"}),
        ("POST", f"{V2}/tenants/{TENANT}/databases", {"name": DATABASE}),
        ("POST", f"{V1}/databases?tenant={TENANT}", {"name": DATABASE}),
    ],
)
def test_what_is_about_more_than_a_scope(server: AuthFixture, method: str, path: str, body: Any) -> None:
    assert_error(server.ask(method, path, body, server.key(Role.ADMIN, TENANT, [DATABASE])), 403)
    is_tenants_own = "databases" in path or method == "PATCH"
    assert is_refused(server.ask(method, path, body, server.key(Role.ADMIN, TENANT))) != is_tenants_own


def test_two_answers_to_where_are_none(server: AuthFixture) -> None:
    """A query string that names a tenant twice is judged as it is served: by the last."""
    key = server.key(Role.READER, TENANT)
    assert server.ask("GET", f"{V1}/collections?tenant=other&tenant={TENANT}", key=key).status == 200
    assert_error(server.ask("GET", f"{V1}/collections?tenant={TENANT}&tenant=other", key=key), 403)
    assert_error(server.ask("GET", f"{V2}/tenants/default%5Ftenan%74x/databases", key=key), 403)
    assert server.ask("GET", f"{V2}/tenants/default%5Ftenan%74/databases", key=key).status == 200


def basic(user: str, password: str) -> tuple[str, str]:
    return "authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_key_in_every_form(server: AuthFixture) -> None:
    key = server.key(Role.READER, TENANT)
    path = f"{HOME}/collections"
    for header in (
        ("x-chroma-token", key),
        ("authorization", f"Bearer {key}"),
        basic("whoever", key),
        basic(key, ""),
    ):
        assert server.ask("GET", path, headers=[header]).status == 200, header
    for header in (("authorization", key), ("x-chroma-token", f"Bearer {key}"), ("authorization", f"Token {key}")):
        assert_error(server.ask("GET", path, headers=[header]), 401)
    assert_error(server.ask("GET", path, headers=[("x-chroma-token", key), ("x-chroma-token", key)]), 401)


def identity(fixture: AuthFixture, headers: list[tuple[str, str]]) -> Any:
    response = fixture.ask("GET", f"{V2}/auth/identity", headers=headers)
    assert response.status == 200
    return response.json()


def test_who_a_key_is(server: AuthFixture) -> None:
    for role in Role:
        key = server.key(role, TENANT, ["db2", "db1"])
        result = {"user_id": key[2:14], "tenant": TENANT, "databases": ["db1", "db2"]}
        assert identity(server, [("x-chroma-token", key)]) == result
    key = server.key(Role.READER, TENANT)
    assert identity(server, [basic("x", key)]) == {"user_id": key[2:14], "tenant": TENANT, "databases": [DATABASE]}
    key = server.key(Role.READER, None)
    assert identity(server, [("x-chroma-token", key)]) == {"user_id": key[2:14], "tenant": "*", "databases": ["*"]}


def test_as_in_the_guide(tmp_path: Path) -> None:
    hashed = bcrypt.hashpw(b"admin", b"$2b$04$abcdefghijklmnopqrstuu").decode()
    (tmp_path / "server.htpasswd").write_text(f"admin:{hashed}\n")
    with auth_fixture(Settings(auth="htpasswd", auth_file=str(tmp_path / "server.htpasswd"))) as created:
        assert identity(created, [basic("admin", "admin")]) == {"user_id": "admin", "tenant": "*", "databases": ["*"]}
        assert_error(created.ask("GET", f"{HOME}/collections", headers=[basic("admin", "wrong")]), 401)
        assert created.ask("POST", f"{V2}/reset", headers=[basic("admin", "admin")]).status == 200
    with auth_fixture(Settings(auth="token", auth_token="test-token")) as created:
        for header in (("authorization", "Bearer test-token"), ("x-chroma-token", "test-token")):
            assert identity(created, [header])["user_id"] == "anonymous"
        assert_error(created.ask("GET", f"{HOME}/collections", headers=[("authorization", "Bearer Test-Token")]), 401)


def test_guessing_is_answered_with_a_time_to_come_again() -> None:
    with auth_fixture(Settings(auth="keys", auth_attempts_per_minute=3)) as created:
        key = created.key(Role.READER, TENANT)
        assert created.ask("GET", f"{HOME}/collections", key=key).status == 200
        statuses = [created.ask("GET", f"{HOME}/collections", key=f"guess{number}").status for number in range(5)]
        assert statuses == [401] * 3 + [429] * 2
        response = created.ask("GET", f"{HOME}/collections", key="guess9")
        assert (response.json()["error"], response.headers["retry-after"]) == ("Backoff", "20")
        assert created.ask("GET", f"{HOME}/collections", key=key).status == 200


def test_a_revoked_key_is_refused_within_the_time_of_trust() -> None:
    with auth_fixture(Settings(auth="keys", auth_cache_seconds=60)) as created:
        key = created.key(Role.READER, TENANT)
        assert created.ask("GET", f"{HOME}/collections", key=key).status == 200
        created.engine.keys.revoke(key[2:14])
        created.later(59)
        assert created.ask("GET", f"{HOME}/collections", key=key).status == 200
        created.later(1)
        assert_error(created.ask("GET", f"{HOME}/collections", key=key), 401)


def test_keys_outlive_a_reset() -> None:
    with auth_fixture() as created:
        key = created.key(Role.ADMIN, None)
        assert created.ask("POST", f"{V2}/reset", key=key).json() is True
        created.later(1_000)
        assert created.ask("GET", f"{HOME}/collections", key=key).json() == []


def test_the_description_says_what_is_asked(server: AuthFixture) -> None:
    described = server.ask("GET", "/openapi.json").json()
    assert set(described["components"]["securitySchemes"]) == {"token", "bearer", "basic"}
    for item in ROUTES:
        if not item.hidden:
            operation = described["paths"][item.path][item.method.lower()]
            assert ("security" in operation) == (item.permission is not Permission.PUBLIC)
            assert ({"401", "403", "429", "503"} <= set(operation["responses"])) == (
                item.permission is not Permission.PUBLIC
            )
    with auth_fixture(Settings()) as created:
        assert "security" not in repr(created.ask("GET", "/openapi.json").json())
