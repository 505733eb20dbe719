"""Transactions with a key that may only read: reads, and commits of nothing."""

from typing import Any

import pytest

from afterglow.auth import Role
from tests.wire.auth.auth_fixture import V2, auth_fixture
from tests.wire.auth.test_read_only_get_or_create import assert_forbidden

COLLECTIONS = f"{V2}/tenants/default_tenant/databases/default_database/collections"


def test_a_reader_reads_and_commits_nothing() -> None:
    with auth_fixture() as server:
        writer, reader = server.key(Role.WRITER, "default_tenant"), server.key(Role.READER, "default_tenant")
        path = f"{COLLECTIONS}/{server.ask('POST', COLLECTIONS, {'name': 'books'}, writer).json()['id']}/conditional"
        delete = {"operation": "delete", "payload": {"ids": ["a"]}}
        assert server.ask("POST", path + "/get", {"ids": ["a"]}, reader).json()["read_token"] == 1
        nothing: dict[str, Any] = {"first_inserted_record_offset": None, "record_count": 0}
        body = {"operations": [], "read_token": 1, "read_ids": ["a"]}
        assert server.ask("POST", path + "/commit", body, reader).json() == nothing
        bodies: list[Any] = [{"operations": [delete]}, {}, {"operations": [{}]}, b"{"]
        for refused in bodies:
            assert_forbidden(server.ask("POST", path + "/commit", refused, reader))
        committed = server.ask("POST", path + "/commit", {"operations": [delete]}, writer)
        assert committed.json() == {"first_inserted_record_offset": 1, "record_count": 1}


@pytest.mark.parametrize("call", ["get", "commit"])
def test_another_tenant_is_refused(call: str) -> None:
    with auth_fixture() as server:
        admin = server.key(Role.ADMIN, None)
        path = f"{COLLECTIONS}/{server.ask('POST', COLLECTIONS, {'name': 'books'}, admin).json()['id']}/conditional"
        assert_forbidden(server.ask("POST", f"{path}/{call}", {"operations": []}, server.key(Role.WRITER, "other")))
