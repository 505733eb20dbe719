"""Who may do what."""

import pytest

from afterglow.auth import EVERYTHING, NOBODY, Grant, Need, Role

ROOT = Grant("root", Role.ADMIN, None, None)
TENANT = Grant("tenant", Role.ADMIN, "one", None)
DATABASE = Grant("database", Role.ADMIN, "one", frozenset({"db1"}))


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.READER, {Need.PUBLIC, Need.KNOWN, Need.READ}),
        (Role.WRITER, {Need.PUBLIC, Need.KNOWN, Need.READ, Need.WRITE}),
        (Role.ADMIN, set(Need)),
        (None, {Need.PUBLIC}),
    ],
)
def test_each_role_may_do_what_those_before_it_may(role: Role | None, allowed: set[Need]) -> None:
    grant = Grant("somebody", role, "one", None)
    assert {need for need in Need if grant.has_role(need)} == allowed
    assert {need for need in Need if grant.allows(need, "one", "db1")} == allowed


@pytest.mark.parametrize(
    ("grant", "tenant", "database", "needs"),
    [
        (ROOT, None, None, {Need.READ, Need.WRITE, Need.ADMIN}),
        (ROOT, "two", "db1", {Need.READ, Need.WRITE, Need.ADMIN}),
        (TENANT, None, None, set()),
        (TENANT, "one", None, {Need.READ, Need.WRITE, Need.ADMIN}),
        (TENANT, "one", "any", {Need.READ, Need.WRITE, Need.ADMIN}),
        (TENANT, "two", None, set()),
        (TENANT, "two", "db1", set()),
        (DATABASE, None, None, set()),
        (DATABASE, "one", None, {Need.READ}),
        (DATABASE, "one", "db1", {Need.READ, Need.WRITE, Need.ADMIN}),
        (DATABASE, "one", "db2", set()),
        (DATABASE, "two", "db1", set()),
        (NOBODY, "one", "db1", set()),
        (NOBODY, None, None, set()),
    ],
)
def test_a_scope_ends_where_it_ends(grant: Grant, tenant: str | None, database: str | None, needs: set[Need]) -> None:
    assert {need for need in (Need.READ, Need.WRITE, Need.ADMIN) if grant.allows(need, tenant, database)} == needs
    if tenant is not None and database is not None:
        assert grant.sees(tenant, database) == bool(needs)


def test_where_nobody_is_asked_everybody_may_do_everything() -> None:
    assert all(EVERYTHING.allows(need) for need in Need)
