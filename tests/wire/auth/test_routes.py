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
from tests.wire.auth.world import V1, V2, Reply, World, world

TENANT, DATABASE = "default_tenant", "default_database"
HOME = f"{V2}/tenants/{TENANT}/databases/{DATABASE}"
VALUES = {
    "tenant": TENANT,
    "database": DATABASE,
    "collection_id": "00000000-0000-4000-8000-000000000001",
    "crn": "a:b:c",
    "file": "docs.css",
    "function_name": "f",
    "import_id": "0",
}
PUBLIC = {"GET /openapi.json", "GET /docs", "GET /docs/{file}"} | {
    f"GET {api}{path}"
    for api in (V1, V2)
    for path in ("", "/heartbeat", "/version", "/pre-flight-checks", "/healthcheck")
    if (api, path) != (V1, "/healthcheck")
}

route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


@pytest.fixture(scope="module")
def one() -> Iterator[World]:
    with world() as made:
        yield made


def asked(world: World, route: Route, key: str | None = None, tenant: str = TENANT, database: str = DATABASE) -> Reply:
    path = re.sub(r"\{(\w+)\}", lambda found: (VALUES | {"tenant": tenant, "database": database})[found[1]], route.path)
    query = f"?tenant={tenant}&database={database}" if path.startswith(V1) else ""
    return world.ask(route.method, path + query, None if route.request is None else b"{}", key)


def refused(reply: Reply, status: int) -> None:
    """The names that every client knows."""
    assert (reply.status, reply.json()["error"]) == (status, "AuthError")
    assert set(reply.json()) == {"error", "message"}
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["chroma-trace-id"])
    assert ("www-authenticate" in reply.headers) == (status == 401)


def is_refused(reply: Reply) -> bool:
    return reply.status in (401, 403) and reply.json()["error"] == "AuthError"


def test_what_is_public_is_little() -> None:
    assert {f"{each.method} {each.path}" for each in ROUTES if each.permission is Permission.PUBLIC} == PUBLIC


def test_a_route_requires_a_permission() -> None:
    with pytest.raises(TypeError, match="permission"):
        Route("GET", "/x", "x", lambda _context, _request: None, "", "")  # type: ignore[call-arg, arg-type, return-value]


@route
def test_a_stranger_learns_what_is_public(one: World, route: Route) -> None:
    for key in (None, "wrong", "ag" + "0" * 55):
        reply = asked(one, route, key)
        if route.permission is Permission.PUBLIC:
            assert reply.status == 200
        else:
            refused(reply, 401)


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
    with world() as made:
        reply = asked(made, route, made.key(role, None))
        assert is_refused(reply) == (role < enough), reply.body
        if role < enough:
            refused(reply, 403)


@route
@pytest.mark.parametrize(("tenant", "database"), [("other", DATABASE), (TENANT, "other"), ("other", "other")])
def test_outside_of_its_scope_a_key_is_refused(one: World, route: Route, tenant: str, database: str) -> None:
    key = one.key(Role.ADMIN, TENANT, [DATABASE])
    reply = asked(one, route, key, tenant, database)
    if route.permission in (Permission.PUBLIC, Permission.AUTHENTICATED):
        assert reply.status == 200
    elif route.scope_of is None:
        # What an id or a resource name leads to is not there.
        assert reply.status in (400, 404, 422)
    else:
        names_tenant = route.scope_of.__name__ == "tenant_of_query" or "{tenant}" in route.path
        names_database = route.scope_of.__name__ == "place_of_query" or "{database}" in route.path
        inside = route.permission is Permission.READ and names_tenant and not names_database and tenant == TENANT
        assert is_refused(reply) != inside, reply.body


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
def test_what_is_about_more_than_a_scope(one: World, method: str, path: str, body: Any) -> None:
    refused(one.ask(method, path, body, one.key(Role.ADMIN, TENANT, [DATABASE])), 403)
    is_tenants_own = "databases" in path or method == "PATCH"
    assert is_refused(one.ask(method, path, body, one.key(Role.ADMIN, TENANT))) != is_tenants_own


def test_two_answers_to_where_are_none(one: World) -> None:
    """A query string that names a tenant twice is judged as it is served: by the last."""
    key = one.key(Role.READER, TENANT)
    assert one.ask("GET", f"{V1}/collections?tenant=other&tenant={TENANT}", key=key).status == 200
    refused(one.ask("GET", f"{V1}/collections?tenant={TENANT}&tenant=other", key=key), 403)
    refused(one.ask("GET", f"{V2}/tenants/default%5Ftenan%74x/databases", key=key), 403)
    assert one.ask("GET", f"{V2}/tenants/default%5Ftenan%74/databases", key=key).status == 200


def basic(user: str, password: str) -> tuple[str, str]:
    return "authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_key_in_each_form(one: World) -> None:
    key = one.key(Role.READER, TENANT)
    path = f"{HOME}/collections"
    for header in (
        ("x-chroma-token", key),
        ("authorization", f"Bearer {key}"),
        basic("whoever", key),
        basic(key, ""),
    ):
        assert one.ask("GET", path, headers=[header]).status == 200, header
    for header in (("authorization", key), ("x-chroma-token", f"Bearer {key}"), ("authorization", f"Token {key}")):
        refused(one.ask("GET", path, headers=[header]), 401)
    refused(one.ask("GET", path, headers=[("x-chroma-token", key), ("x-chroma-token", key)]), 401)


def identity(world: World, headers: list[tuple[str, str]]) -> Any:
    reply = world.ask("GET", f"{V2}/auth/identity", headers=headers)
    assert reply.status == 200
    return reply.json()


def test_who_a_key_is(one: World) -> None:
    for role in Role:
        key = one.key(role, TENANT, ["db2", "db1"])
        found = {"user_id": key[2:14], "tenant": TENANT, "databases": ["db1", "db2"]}
        assert identity(one, [("x-chroma-token", key)]) == found
    key = one.key(Role.READER, TENANT)
    assert identity(one, [basic("x", key)]) == {"user_id": key[2:14], "tenant": TENANT, "databases": [DATABASE]}
    key = one.key(Role.READER, None)
    assert identity(one, [("x-chroma-token", key)]) == {"user_id": key[2:14], "tenant": "*", "databases": ["*"]}


def test_as_in_the_guide(tmp_path: Path) -> None:
    hashed = bcrypt.hashpw(b"admin", b"$2b$04$abcdefghijklmnopqrstuu").decode()
    (tmp_path / "server.htpasswd").write_text(f"admin:{hashed}\n")
    with world(Settings(auth="htpasswd", auth_file=str(tmp_path / "server.htpasswd"))) as made:
        assert identity(made, [basic("admin", "admin")]) == {"user_id": "admin", "tenant": "*", "databases": ["*"]}
        refused(made.ask("GET", f"{HOME}/collections", headers=[basic("admin", "wrong")]), 401)
        assert made.ask("POST", f"{V2}/reset", headers=[basic("admin", "admin")]).status == 200
    with world(Settings(auth="token", auth_token="test-token")) as made:
        for header in (("authorization", "Bearer test-token"), ("x-chroma-token", "test-token")):
            assert identity(made, [header])["user_id"] == "anonymous"
        refused(made.ask("GET", f"{HOME}/collections", headers=[("authorization", "Bearer Test-Token")]), 401)


def test_guessing_is_answered_with_a_time_to_come_again() -> None:
    with world(Settings(auth="keys", auth_attempts_per_minute=3)) as made:
        key = made.key(Role.READER, TENANT)
        assert made.ask("GET", f"{HOME}/collections", key=key).status == 200
        statuses = [made.ask("GET", f"{HOME}/collections", key=f"guess{number}").status for number in range(5)]
        assert statuses == [401] * 3 + [429] * 2
        reply = made.ask("GET", f"{HOME}/collections", key="guess9")
        assert (reply.json()["error"], reply.headers["retry-after"]) == ("ChromaError", "20")
        assert made.ask("GET", f"{HOME}/collections", key=key).status == 200


def test_a_revoked_key_is_refused_within_the_time_of_trust() -> None:
    with world(Settings(auth="keys", auth_cache_seconds=60)) as made:
        key = made.key(Role.READER, TENANT)
        assert made.ask("GET", f"{HOME}/collections", key=key).status == 200
        made.engine.keys.revoke(key[2:14])
        made.later(59)
        assert made.ask("GET", f"{HOME}/collections", key=key).status == 200
        made.later(1)
        refused(made.ask("GET", f"{HOME}/collections", key=key), 401)


def test_keys_outlive_a_reset() -> None:
    with world() as made:
        key = made.key(Role.ADMIN, None)
        assert made.ask("POST", f"{V2}/reset", key=key).json() is True
        made.later(1_000)
        assert made.ask("GET", f"{HOME}/collections", key=key).json() == []


def test_the_description_says_what_is_asked(one: World) -> None:
    described = one.ask("GET", "/openapi.json").json()
    assert set(described["components"]["securitySchemes"]) == {"token", "bearer", "basic"}
    for each in ROUTES:
        if not each.hidden:
            operation = described["paths"][each.path][each.method.lower()]
            assert ("security" in operation) == (each.permission is not Permission.PUBLIC)
            assert ({"401", "403", "429", "503"} <= set(operation["responses"])) == (
                each.permission is not Permission.PUBLIC
            )
    with world(Settings()) as made:
        assert "security" not in repr(made.ask("GET", "/openapi.json").json())
