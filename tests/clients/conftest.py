import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from afterglow.auth import Role
from afterglow.auth.api_keys import Keys
from afterglow.catalog.tenants import DEFAULT_TENANT
from afterglow.deployment.local import open_local
from afterglow.settings import System
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
        "admin": _create_key(data, Role.ADMIN),
        "writer": _create_key(data, Role.WRITER, "books"),
        "reader": _create_key(data, Role.READER, "books"),
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


def _create_key(data: Path, role: Role, *databases: str) -> str:
    """A key for databases that a test is yet to create, which the command refuses."""
    deployment = open_local(data, System())
    try:
        return Keys(deployment.table, System()).create(role, DEFAULT_TENANT, databases or None)[0]
    finally:
        deployment.table.close()
