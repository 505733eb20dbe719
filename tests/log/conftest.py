from collections.abc import Iterator

import pytest

from tests.log.collection_log import Log
from tests.support.stores import Clock, quick_folder, stores_at


@pytest.fixture
def log() -> Iterator[Log]:
    with quick_folder() as folder:
        clock = Clock()
        stores = stores_at(folder, clock=clock)
        yield Log(stores, clock)
        stores.table.close()
