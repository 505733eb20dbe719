"""What the gate adds to the calls that AWS bills: nothing, as long as a key is known."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from afterglow.api.app import create_app
from afterglow.auth import Role
from afterglow.collection import Engine
from afterglow.metering import Usage, collect_usage
from afterglow.settings import LAMBDA_DEFAULTS, System
from tests.costs.operations import DIMENSION, Account
from tests.support import aws
from tests.wire.auth.auth_fixture import V1, V2, AppClient, AppResponse

QUERY = {"query_embeddings": [[1.0] * DIMENSION], "n_results": 2}


class Container(AppClient):
    """A function just started, over an account."""

    def __init__(self, engine: Engine) -> None:
        assert LAMBDA_DEFAULTS.auth == "keys"
        super().__init__(create_app(engine, LAMBDA_DEFAULTS, System(), allow_reset=False, threads=0))

    def measured(self, method: str, path: str, body: Any, key: str | None) -> tuple[AppResponse, Usage]:
        with collect_usage() as usage:
            reply = self.ask(method, path, body, key)
        return reply, usage


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with aws.moto_aws():
        made = Account(tmp_path_factory.mktemp("containers"))
        made.add(3)
        made.engine.catalog.create_tenant("other")
        made.engine.catalog.create_database("other", "default_database")
        yield made


@pytest.fixture
def container(account: Account) -> Iterator[Container]:
    made = Container(account.container())
    yield made
    made.close()


def paths(tenant: str, collection: object) -> list[str]:
    return [
        f"{V2}/tenants/{tenant}/databases/default_database/collections/{collection}",
        f"{V1}/collections/{collection}",
    ]


@pytest.mark.parametrize("version", [0, 1])
def test_a_warm_query_with_a_key_is_one_query_of_the_table_and_nothing_else(
    account: Account, container: Container, version: int
) -> None:
    key, known = account.engine.keys.create(Role.READER, "default_tenant", ["default_database"])
    path = paths("default_tenant", account.scope.collection)[version] + "/query"
    container.measured("POST", path, QUERY, key)
    reply, usage = container.measured("POST", path, QUERY, key)
    assert reply.status == 200
    assert usage.calls == {"dynamodb.Query": 1}
    assert (usage.read_units, usage.write_units, usage.bytes_read) == (1, 0, 0)
    assert usage.attributes["caller"] == known.id


def test_a_key_that_was_never_seen_is_one_read(account: Account, container: Container) -> None:
    first, second = (account.engine.keys.create(Role.READER, "default_tenant")[0] for _ in range(2))
    path = paths("default_tenant", account.scope.collection)[0] + "/query"
    container.measured("POST", path, QUERY, first)
    reply, usage = container.measured("POST", path, QUERY, second)
    assert reply.status == 200
    assert usage.calls == {"dynamodb.GetItem": 1, "dynamodb.Query": 1}
    assert (usage.read_units, usage.write_units) == (2, 0)


def test_a_rejected_credential_costs_at_most_one_read(account: Account, container: Container) -> None:
    path = paths("default_tenant", account.scope.collection)[0] + "/query"
    for key, calls in ((None, {}), ("guess", {}), ("ag" + "0" * 55, {"dynamodb.GetItem": 1}), ("ag" + "0" * 55, {})):
        reply, usage = container.measured("POST", path, QUERY, key)
        assert (reply.status, usage.calls) == (401, calls)
    reader, _ = account.engine.keys.create(Role.READER, "other")
    assert container.measured("POST", path, QUERY, reader)[1].calls == {"dynamodb.GetItem": 1}
    reply, usage = container.measured("POST", path, QUERY, reader)
    assert (reply.status, usage.calls) == (403, {})


@pytest.mark.slow
@pytest.mark.parametrize("is_warm", [False, True])
@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("query", QUERY),
        ("get", {}),
        ("count", None),
        ("add", {"ids": ["x"], "embeddings": [[1.0] * DIMENSION]}),
        ("update", {"ids": ["x"], "documents": ["x"]}),
        ("delete", {"ids": ["x"]}),
        ("delete", {"where": {"size": 1}}),
        ("indexing_status", None),
        ("", {"new_name": "another"}),
    ],
)
def test_a_foreign_collection_takes_the_calls_of_one_that_is_not_there(
    account: Account, container: Container, operation: str, body: Any, *, is_warm: bool
) -> None:
    """So how long the refusal takes does not tell the holder of an id whether it is a collection's."""
    stranger, _ = account.engine.keys.create(Role.ADMIN, "other")
    owner, _ = account.engine.keys.create(Role.ADMIN, "default_tenant")
    foreign, absent = account.scope.collection, uuid4()
    if is_warm:
        for path in paths("default_tenant", foreign):
            assert container.ask("POST", path + "/query", QUERY, owner).status == 200
            write = {"ids": ["y"], "embeddings": [[1.0] * DIMENSION]}
            assert container.ask("POST", path + "/upsert", write, owner).status == 200
    container.ask("GET", f"{V2}/auth/identity", key=stranger)
    method = "PUT" if not operation else "GET" if body is None else "POST"
    for version in (0, 1) if operation != "indexing_status" else (0,):
        answers = []
        for collection in (foreign, absent):
            path = f"{paths('other', collection)[version]}/{operation}".rstrip("/")
            reply, usage = container.measured(method, path, body, stranger)
            answers.append((reply.status, reply.body.replace(str(collection).encode(), b"<id>"), usage.calls))
        assert answers[0] == answers[1]
        assert answers[0][2] == {"dynamodb.GetItem": 1}
    # And it was not closed for its owner.
    if is_warm:
        path = paths("default_tenant", foreign)[0] + "/query"
        assert container.measured("POST", path, QUERY, owner)[1].calls == {"dynamodb.Query": 1}
