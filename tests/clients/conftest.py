import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import HOST, Server, free_port, running, script, spawn, wait_until_ready


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, which may be reset."""
    with running(tmp_path / "data", options=["--allow-reset"]) as server:
        yield server


@pytest.fixture
def genuine(tmp_path: Path) -> Iterator[Server]:
    """The genuine server, which may be reset."""
    port, configuration, data = free_port(), tmp_path / "chroma.yaml", tmp_path / "genuine"
    configuration.write_text(f'allow_reset: true\nlisten_address: "{HOST}"\nport: {port}\npersist_path: "{data}"\n')
    server = spawn([script("chroma"), "run", str(configuration)], data, port)
    try:
        wait_until_ready(server)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A data directory to be copied, and its keys: an admin's of the tenant, two of the database `books`."""
    data = tmp_path_factory.mktemp("keyed") / "data"
    return data, {
        "admin": _key(data, "--role", "admin"),
        "writer": _key(data, "--role", "writer", "--database", "books"),
        "reader": _key(data, "--role", "reader", "--database", "books"),
    }


@pytest.fixture
def guarded(keyed: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL of a server of the test's own that asks for keys, and the keys."""
    data, keys = keyed
    shutil.copytree(data, tmp_path / "data")
    with running(tmp_path / "data", env={"AFTERGLOW_AUTH": "keys"}) as server:
        yield f"http://{HOST}:{server.port}", keys


def _key(data: Path, *options: str) -> str:
    command = [script("afterglow"), "keys", "create", "--path", str(data), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
