from collections.abc import Iterator
from pathlib import Path

import pytest

from afterglow.settings import Settings
from tests.support.onnx_files import write_cross_encoder, write_model
from tests.wire.clients import ApiClient
from tests.wire.conftest import serve_folder


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
    with serve_folder(tmp_path_factory.mktemp("data"), text_settings) as client:
        yield client
