from collections.abc import Iterator

import pytest

from afterglow.storage.ports import Stores
from tests.support.stores import quick_folder, stores_at


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    """Stores that the tests of a module share; every segment has a name of its own."""
    with quick_folder() as folder:
        opened = stores_at(folder)
        yield opened
        opened.table.close()
