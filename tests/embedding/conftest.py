from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from afterglow.api.app import create_app
from afterglow.deployment.local import open_local
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System
from tests.support.onnx_files import write_cross_encoder, write_model
from tests.wire.asgi_server import serve_app
from tests.wire.clients import ApiClient
from tests.wire.conftest import AGENT


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a small model."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def reranker_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a small cross-encoder."""
    return write_cross_encoder(tmp_path_factory.mktemp("reranker"))


@pytest.fixture(scope="session")
def text_settings(model_folder: Path, reranker_folder: Path) -> Settings:
    return Settings(embedding_model_dir=str(model_folder), reranker_model_dir=str(reranker_folder))


@pytest.fixture(scope="session")
def text_client(text_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    """A server that embeds texts and reranks by the small models."""
    system = System()
    engine = start_engine(open_local(tmp_path_factory.mktemp("data"), system), text_settings, system)
    try:
        app = create_app(engine, text_settings, system, allow_reset=False)
        with serve_app(app) as base, httpx.Client(base_url=base, timeout=30.0, headers=AGENT) as client:
            yield ApiClient(client)
    finally:
        engine.close()
