from collections.abc import Iterator
from pathlib import Path

import pytest

from afterglow.settings import System
from afterglow.storage.aws.clients import Clients
from afterglow.storage.ports import Stores
from tests.support.aws import Made, guarded_clients, make, moto_aws, stores_on_aws
from tests.support.fault_injection import FaultInjector, skip_botocore_pauses
from tests.support.stores import Clock


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long botocore would have waited between its attempts; nobody does."""
    return skip_botocore_pauses(monkeypatch)


@pytest.fixture
def made() -> Iterator[Made]:
    with moto_aws():
        yield make()


@pytest.fixture
def clients(made: Made) -> Iterator[Clients]:
    clients = guarded_clients(System(sleep=Clock().sleep))
    yield clients
    clients.forget_credentials()


@pytest.fixture
def stores(made: Made, clients: Clients, tmp_path: Path) -> Stores:
    return stores_on_aws(made, tmp_path / "cache", clients=clients)


@pytest.fixture
def dynamodb(clients: Clients) -> FaultInjector:
    return FaultInjector(clients.dynamodb)


@pytest.fixture
def s3(clients: Clients) -> FaultInjector:
    return FaultInjector(clients.s3)
