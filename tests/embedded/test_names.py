"""`import afterglow as chromadb`: the names of chromadb's public API, our clients in place of its own."""

import subprocess
import sys
from pathlib import Path

import chromadb
import pytest
from chromadb.config import Settings

import afterglow
from afterglow import embedded
from tests.support.server import free_port


def test_every_public_name_is_here_and_the_same() -> None:
    clients = {"AsyncHttpClient", "CloudClient", "HttpClient", "Settings", "ClientAPI", "AsyncClientAPI", "AdminAPI"}
    names = {*chromadb.__all__, *clients, "DEFAULT_TENANT", "DEFAULT_DATABASE"}
    assert names <= afterglow.CHROMA_NAMES
    for name in afterglow.CHROMA_NAMES:
        assert getattr(afterglow, name) is getattr(chromadb, name)
    for name in afterglow.CHROMA_MODULES:
        assert getattr(afterglow, name) is getattr(chromadb, name)
    for name in ("Client", "AdminClient", "EphemeralClient", "PersistentClient"):
        assert getattr(afterglow, name) is getattr(embedded, name)


def test_the_errors_of_the_clients_are_here() -> None:
    for name in ("ChromaError", "NotFoundError", "InvalidArgumentError", "UniqueConstraintError"):
        assert getattr(afterglow.errors, name) is getattr(chromadb.errors, name)
    assert afterglow.errors.NotFound.__module__ == "afterglow.errors"
    for missing in ("NoSuchError", "__path__"):
        with pytest.raises(AttributeError):
            getattr(afterglow.errors, missing)
    with pytest.raises(AttributeError, match="no attribute 'RustClient'"):
        _ = afterglow.RustClient


def test_a_client_is_what_its_settings_describe(tmp_path: Path) -> None:
    settings = Settings(is_persistent=True, persist_directory=str(tmp_path / "data"))
    client = afterglow.Client(settings)
    assert isinstance(client, embedded.PersistentClient)
    with client:
        client.create_collection("books", embedding_function=None)
        with pytest.raises(afterglow.errors.NotFoundError):
            client.get_collection("films", embedding_function=None)
    assert (tmp_path / "data" / "table.sqlite").is_file()
    with pytest.raises(ValueError, match="Could not connect"):
        afterglow.Client(
            Settings(
                chroma_api_impl="chromadb.api.fastapi.FastAPI",
                chroma_server_host="127.0.0.1",
                chroma_server_http_port=free_port(),
            )
        )


def test_a_submodule_is_imported_without_chromadb() -> None:
    """`from afterglow import cli` asks the package for the name first."""
    program = "import sys; from afterglow import errors, settings; print('chromadb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
