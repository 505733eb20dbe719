from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, which may be reset."""
    with running(tmp_path / "data", options=["--allow-reset"]) as server:
        yield server
