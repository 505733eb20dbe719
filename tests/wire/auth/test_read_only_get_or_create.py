"""`get_or_create` with a key that may only read: an existing collection is returned, everything else is refused."""

from collections.abc import Iterator
from typing import Any

import pytest

from afterglow.auth import Role
from tests.wire.auth.auth_fixture import V1, V2, AppResponse, AuthFixture, auth_fixture

TENANT, DATABASE = "default_tenant", "default_database"
COLLECTIONS = f"{V2}/tenants/{TENANT}/databases/{DATABASE}/collections"
V1_COLLECTIONS = f"{V1}/collections?tenant={TENANT}&database={DATABASE}"

both_versions = pytest.mark.parametrize("path", [COLLECTIONS, V1_COLLECTIONS], ids=["v2", "v1"])


@pytest.fixture(scope="module")
def server() -> Iterator[AuthFixture]:
    with auth_fixture() as fixture:
        yield fixture


@pytest.fixture(scope="module")
def books(server: AuthFixture) -> Any:
    body = {"name": "books", "metadata": {"topic": "all"}}
    return server.ask("POST", COLLECTIONS, body, server.key(Role.WRITER, TENANT)).json()


def assert_forbidden(response: AppResponse) -> None:
    message = "Forbidden: the credentials do not allow this"
    assert (response.status, response.json()) == (403, {"error": "AuthError", "message": message})


@both_versions
@pytest.mark.parametrize("databases", [None, [DATABASE]])
def test_an_existing_collection_is_returned(
    server: AuthFixture, books: Any, path: str, databases: list[str] | None
) -> None:
    reader = server.key(Role.READER, TENANT, databases)
    response = server.ask("POST", path, {"name": "books", "get_or_create": True}, reader)
    assert (response.status, response.json()["id"], response.json()["name"]) == (200, books["id"], "books")
    other = {"name": "books", "get_or_create": True, "metadata": {"topic": "none"}}
    assert server.ask("POST", path, other, reader).json()["metadata"] == {"topic": "all"}
    as_writer = server.ask("POST", path, {"name": "books", "get_or_create": True}, server.key(Role.WRITER, TENANT))
    assert as_writer.body == response.body


@both_versions
@pytest.mark.parametrize(
    "body",
    [
        {"name": "films", "get_or_create": True},
        {"name": "films"},
        {"name": "books"},
        {"name": "books", "get_or_create": False},
        {"name": "x", "get_or_create": True},
        {"name": 1, "get_or_create": True},
        {},
        [],
        b"{",
        b"",
    ],
)
def test_everything_else_is_refused(server: AuthFixture, books: Any, path: str, body: Any) -> None:
    assert_forbidden(server.ask("POST", path, body, server.key(Role.READER, TENANT)))
    names = [item["name"] for item in server.ask("GET", COLLECTIONS, key=server.key(Role.READER, TENANT)).json()]
    assert names == ["books"]


@pytest.mark.parametrize("role", list(Role))
def test_other_tenants_and_databases_are_refused_whether_they_exist_or_not(
    server: AuthFixture, books: Any, role: Role
) -> None:
    admin = server.key(Role.ADMIN, None)
    server.ask("POST", f"{V2}/tenants", {"name": "elsewhere"}, admin)
    server.ask("POST", f"{V2}/tenants/elsewhere/databases", {"name": "shelf"}, admin)
    server.ask("POST", f"{V2}/tenants/elsewhere/databases/shelf/collections", {"name": "books"}, admin)
    for tenant, database in [("elsewhere", "shelf"), ("elsewhere", "none"), ("nobody", "shelf"), (TENANT, "shelf")]:
        key = server.key(role, TENANT, [DATABASE])
        body = {"name": "books", "get_or_create": True}
        v2_path = f"{V2}/tenants/{tenant}/databases/{database}/collections"
        assert_forbidden(server.ask("POST", v2_path, body, key))
        assert_forbidden(server.ask("POST", f"{V1}/collections?tenant={tenant}&database={database}", body, key))


def test_a_name_is_not_taken_for_an_id(server: AuthFixture, books: Any) -> None:
    reader = server.key(Role.READER, TENANT)
    assert_forbidden(server.ask("POST", COLLECTIONS, {"name": books["id"], "get_or_create": True}, reader))
