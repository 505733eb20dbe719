"""`explain` over an emulated account: a read's requests, what they read, and the dollars that AWS bills for them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from afterglow.api.app import create_app
from afterglow.aws_lambda.engine import open_engine
from afterglow.deployment.aws import open_aws
from afterglow.jobs.index_messages import IDLE, handle
from afterglow.settings import LAMBDA_DEFAULTS, System
from tests.support import aws
from tests.wire.auth.auth_fixture import V2, AppClient

COLLECTIONS = f"{V2}/tenants/default_tenant/databases/default_database/collections"
READ_UNIT, S3_GET = 0.125e-6, 0.4e-6
"""Dollars, as in docs/cost.md."""
Ask = Callable[[str, Any], Any]


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Callable[[], Ask]]:
    """Starts a function whose disk is empty."""
    clients: list[AppClient] = []
    system = System()

    def start() -> Ask:
        settings = made.settings(replace(LAMBDA_DEFAULTS, auth="off"), tmp_path / str(len(clients)))
        engine = open_engine(open_aws(settings, system, aws.guarded_clients()), settings, system)
        client = AppClient(create_app(engine, settings, system, allow_reset=False, threads=0))
        clients.append(client)

        def ask(path: str, body: Any) -> Any:
            response = client.ask("POST", COLLECTIONS + path, body)
            assert response.status < 300, response.body
            return response.json()

        return ask

    with aws.moto_aws():
        made = aws.make()
        yield start
        for client in clients:
            client.close()


def indexed(container: Callable[[], Ask], folder: Path) -> str:
    """A collection with a segment; its path."""
    ask = container()
    created: str = ask("", {"name": "explained"})["id"]
    vectors = [[float(number), 1.0] for number in range(50)]
    ask(f"/{created}/add", {"ids": [str(number) for number in range(50)], "embeddings": vectors})
    settings, system = aws.make().settings(LAMBDA_DEFAULTS, folder / "indexer"), System()
    account = open_aws(settings, system, aws.guarded_clients())
    assert account.queue is not None
    stores = account.stores(settings, system, account.queue)
    handle(stores, f'{{"group": "{created}", "body": "{IDLE}"}}')
    return f"/{created}"


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("query", {"query_embeddings": [[3, 1]], "n_results": 2}),
        ("get", {"ids": ["3"]}),
        ("search", {"searches": [{"rank": {"$knn": {"query": [3, 1], "limit": 2}}}]}),
    ],
)
def test_the_bill_of_a_read(container: Callable[[], Ask], tmp_path: Path, call: str, body: dict[str, Any]) -> None:
    path = indexed(container, tmp_path)
    ask = container()
    cold, warm = (ask(f"{path}/{call}", {**body, "explain": True})["explain"] for _ in range(2))
    s3, dynamodb = (
        {name: count for name, count in cold["requests"].items() if name.startswith(service)}
        for service in ("s3", "dynamodb")
    )
    assert s3
    assert dynamodb
    assert s3 | dynamodb == cold["requests"]
    assert cold["bytes_read"] > 50 * 8
    assert cold["read_units"] > 0
    expected = cold["read_units"] * READ_UNIT + sum(s3.values()) * S3_GET
    assert cold["dollars"] == pytest.approx(expected)
    assert {name.partition(".")[0] for name in warm["requests"]} == {"dynamodb"}
    assert warm["dollars"] == pytest.approx(warm["read_units"] * READ_UNIT)
    assert 0 < warm["dollars"] < cold["dollars"]
