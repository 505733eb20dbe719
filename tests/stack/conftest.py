"""What the tests of the stack share: one MiniStack, one deployment, and a stack with a function that embeds texts."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import deployment
from tests.support.deployment import Deployment
from tests.support.ministack import MiniStack, ministack
from tests.support.onnx_files import archive_of, write_model


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


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, in a folder."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def archive(model: Path) -> bytes:
    """The same, as the bucket of a stack has it."""
    return archive_of(model)


@pytest.fixture(scope="session")
def texts(deployed: Deployment, archive: bytes) -> Deployment:
    """A stack with an embedder function, whose bucket has no model yet."""
    checksum = hashlib.sha256(archive).hexdigest()
    return deployment.stack_of(deployed, "texts", Embedder="all-MiniLM-L6-v2", ModelSha256=checksum)
