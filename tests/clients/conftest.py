import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import HOST, Server, free_port, running, script, spawn, wait_until_ready


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server for one test, with the reset endpoint enabled."""
    with running(tmp_path / "data", options=["--allow-reset"]) as server:
        yield server


@pytest.fixture
def chroma_server(tmp_path: Path) -> Iterator[Server]:
    """Chroma's own server, with the reset endpoint enabled."""
    port, configuration, data = free_port(), tmp_path / "chroma.yaml", tmp_path / "chroma"
    configuration.write_text(f'allow_reset: true\nlisten_address: "{HOST}"\nport: {port}\npersist_path: "{data}"\n')
    server = spawn([script("chroma"), "run", str(configuration)], data, port)
    try:
        wait_until_ready(server)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def data_and_keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A data directory to copy, and its API keys: an admin key of the tenant, two keys of the database `books`."""
    data = tmp_path_factory.mktemp("keys") / "data"
    return data, {
        "admin": _create_key(data, "--role", "admin"),
        "writer": _create_key(data, "--role", "writer", "--database", "books"),
        "reader": _create_key(data, "--role", "reader", "--database", "books"),
    }


@pytest.fixture
def server_with_keys(
    data_and_keys: tuple[Path, dict[str, str]], tmp_path: Path
) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL of a server for one test that requires API keys, and the keys."""
    data, keys = data_and_keys
    shutil.copytree(data, tmp_path / "data")
    with running(tmp_path / "data", env={"AFTERGLOW_AUTH": "keys"}) as server:
        yield f"http://{HOST}:{server.port}", keys


def _create_key(data: Path, *options: str) -> str:
    command = [script("afterglow"), "keys", "create", "--path", str(data), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
