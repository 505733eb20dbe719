from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from afterglow.api.app import create_app
from afterglow.deployment.local import open_local
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System
from tests.wire.asgi_server import serve_app
from tests.wire.clients import ApiClient, CollectionClient
from tests.wire.search_requests import VECTORS

# A bare httpx is taken for a client before 1.0.
AGENT = {"user-agent": "afterglow-tests"}


@contextmanager
def serve_folder(folder: Path, settings: Settings) -> Iterator[ApiClient]:
    """A server on a new data directory, with an indexer."""
    system = System()
    engine = start_engine(open_local(folder, system), settings, system)
    try:
        app = create_app(engine, settings, system, allow_reset=False)
        with serve_app(app) as base, httpx.Client(base_url=base, timeout=30.0, headers=AGENT) as client:
            yield ApiClient(client)
    finally:
        engine.close()


@pytest.fixture(scope="session")
def api_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    settings = Settings(max_body_bytes=1_000_000, client_timeout_seconds=1.0)
    with serve_folder(tmp_path_factory.mktemp("data"), settings) as client:
        yield client


@pytest.fixture
def collection(api_client: ApiClient) -> CollectionClient:
    """An empty collection of its own."""
    return api_client.collection()


@pytest.fixture(scope="module")
def letters(api_client: ApiClient) -> CollectionClient:
    """Five records on a line, the last without metadata, the fourth without a document."""
    return api_client.collection().add(
        ids=list(VECTORS),
        embeddings=list(VECTORS.values()),
        documents=["red apple", "green pear", "red cherry", None, "fig"],
        metadatas=[
            {"kind": "x", "n": 1, "tags": ["p", "q"]},
            {"kind": "y", "n": 2.5},
            {"kind": "x", "n": 3},
            {"kind": "y"},
            None,
        ],
    )
