"""The keys of a data directory."""

from collections.abc import Iterator

import pytest

from afterglow.auth.api_keys import Keys
from afterglow.storage.ports import Stores
from tests.support.stores import quick_folder, stores_at


@pytest.fixture
def stores() -> Iterator[Stores]:
    with quick_folder() as folder:
        made = stores_at(folder)
        yield made
        made.table.close()


@pytest.fixture
def keys(stores: Stores) -> Keys:
    return Keys(stores.table, stores.system)
