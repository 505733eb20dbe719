"""What the tests of the stack share: one MiniStack, one deployment."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import deployment
from tests.support.deployment import Deployment
from tests.support.ministack import MiniStack, ministack


@pytest.fixture(scope="session")
def aws() -> Iterator[MiniStack]:
    """A running MiniStack that enforces IAM, over TLS."""
    with ministack(auth=True, tls=True) as running:
        yield running
        deployment.close_clients(running)


@pytest.fixture(scope="session")
def deployed(aws: MiniStack, build: Path) -> Deployment:
    """The template as it is, with its defaults."""
    return deployment.deployed(aws, build, "afterglow")
