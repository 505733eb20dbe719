from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stores import quick_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of the test's own; the stores opened on it are one store."""
    with quick_folder() as path:
        yield path
