"""Who may do what."""

import pytest

from afterglow.auth import ANONYMOUS, FULL_ACCESS, Grant, Permission, Role

ROOT = Grant("root", Role.ADMIN, None, None)
TENANT = Grant("tenant", Role.ADMIN, "one", None)
DATABASE = Grant("database", Role.ADMIN, "one", frozenset({"db1"}))


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.READER, {Permission.PUBLIC, Permission.AUTHENTICATED, Permission.READ}),
        (Role.WRITER, {Permission.PUBLIC, Permission.AUTHENTICATED, Permission.READ, Permission.WRITE}),
        (Role.ADMIN, set(Permission)),
        (None, {Permission.PUBLIC}),
    ],
)
def test_a_role_includes_the_roles_before_it(role: Role | None, allowed: set[Permission]) -> None:
    grant = Grant("somebody", role, "one", None)
    assert {need for need in Permission if grant.has_role(need)} == allowed
    assert {need for need in Permission if grant.allows(need, "one", "db1")} == allowed


@pytest.mark.parametrize(
    ("grant", "tenant", "database", "needs"),
    [
        (ROOT, None, None, {Permission.READ, Permission.WRITE, Permission.ADMIN}),
        (ROOT, "two", "db1", {Permission.READ, Permission.WRITE, Permission.ADMIN}),
        (TENANT, None, None, set()),
        (TENANT, "one", None, {Permission.READ, Permission.WRITE, Permission.ADMIN}),
        (TENANT, "one", "any", {Permission.READ, Permission.WRITE, Permission.ADMIN}),
        (TENANT, "two", None, set()),
        (TENANT, "two", "db1", set()),
        (DATABASE, None, None, set()),
        (DATABASE, "one", None, {Permission.READ}),
        (DATABASE, "one", "db1", {Permission.READ, Permission.WRITE, Permission.ADMIN}),
        (DATABASE, "one", "db2", set()),
        (DATABASE, "two", "db1", set()),
        (ANONYMOUS, "one", "db1", set()),
        (ANONYMOUS, None, None, set()),
    ],
)
def test_a_scope_ends_where_it_ends(
    grant: Grant, tenant: str | None, database: str | None, needs: set[Permission]
) -> None:
    assert {
        need for need in (Permission.READ, Permission.WRITE, Permission.ADMIN) if grant.allows(need, tenant, database)
    } == needs
    if tenant is not None and database is not None:
        assert grant.can_see(tenant, database) == bool(needs)


def test_where_nobody_is_asked_everybody_may_do_everything() -> None:
    assert all(FULL_ACCESS.allows(need) for need in Permission)
