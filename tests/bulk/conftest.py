"""Places that records are moved between."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.collection import Engine
from afterglow.storage.ports import Stores
from tests.bulk.dumping import opened
from tests.bulk.files import TINY, ImportFixture, import_fixture
from tests.support.stores import quick_folder, stores_at


@pytest.fixture
def local() -> Iterator[LocalEndpoint]:
    """An empty place with the default tenant and database."""
    with quick_folder() as folder:
        stores = stores_at(folder)
        engine = Engine(stores)
        engine.catalog.ensure_defaults()
        yield LocalEndpoint(stores, engine)
        stores.table.close()


@pytest.fixture
def at() -> Iterator[ImportFixture]:
    """An empty collection that takes imports in small chunks."""
    with import_fixture(TINY) as fixture:
        yield fixture


@pytest.fixture
def stores(folder: Path) -> Iterator[Stores]:
    with opened(folder / "data") as found:
        yield found


@pytest.fixture
def other(folder: Path) -> Iterator[Stores]:
    with opened(folder / "other") as found:
        yield found
