"""A directory's stores as a side, for the tests of one module."""

from collections.abc import Iterator

import pytest

from afterglow.collection import Engine
from afterglow.moving.local import Local
from tests.support.stores import quick_folder, stores_at


@pytest.fixture
def local() -> Iterator[Local]:
    """An empty place with the default tenant and database."""
    with quick_folder() as folder:
        stores = stores_at(folder)
        engine = Engine(stores)
        engine.catalog.ensure_defaults()
        yield Local(stores, engine)
        stores.table.close()
