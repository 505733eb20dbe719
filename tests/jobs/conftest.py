from collections.abc import Iterator

import pytest

from tests.jobs.environment import Environment
from tests.support.stores import Clock, new_collection, quick_folder, stores_at


@pytest.fixture
def env() -> Iterator[Environment]:
    """An empty collection in a data directory of its own."""
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, clock=clock)
        scope, collection = new_collection(stores)
        yield Environment(stores, clock, scope, collection.id)
        stores.table.close()
