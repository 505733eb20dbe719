"""The two sides: one server of ours for the whole session, and the genuine implementation in this process."""

from collections.abc import Iterator
from pathlib import Path

import chromadb
import pytest
from chromadb.api import ClientAPI
from chromadb.config import Settings

from tests.support.server import running

ALWAYS_FOLDING = {"AFTERGLOW_FLUSH_OPS": "8", "AFTERGLOW_FLUSH_IDLE_SECONDS": "0.05"}


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientAPI]:
    """The stock client of a server that folds after every few operations."""
    folder: Path = tmp_path_factory.mktemp("differential") / "data"
    with running(folder, env=ALWAYS_FOLDING) as server:
        yield chromadb.HttpClient(host=server.host, port=server.port, settings=Settings(anonymized_telemetry=False))


@pytest.fixture(scope="session")
def theirs() -> ClientAPI:
    """The genuine implementation, in memory."""
    return chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
