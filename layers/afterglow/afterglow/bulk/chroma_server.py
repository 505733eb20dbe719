"""Serves Chroma's directory with Chroma's own program, from the extra `chromadb`.

The program runs as a child process during the migration; no other reads all versions of these directories. It may
upgrade an older directory to its own format, as it does whenever it opens one.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from socket import socket

from afterglow.bulk.chroma_client import ChromaConnection
from afterglow.errors import InvalidArgument, NotFound, Unavailable
from afterglow.settings import System

TABLE = "chroma.sqlite3"

_HOST = "127.0.0.1"
_START_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
_STOP_SECONDS = 30.0
_CODE = "import sys; from chromadb.cli.cli import app; sys.argv[0] = 'chroma'; app()"


def is_directory(path: Path) -> bool:
    """Whether the path is a data directory of Chroma."""
    return (path / TABLE).is_file()


def tenants(path: Path) -> list[str]:
    """Every tenant in the directory, by name: the API cannot list them. Raises NotFound."""
    if not is_directory(path):
        raise NotFound(f"{path}: not a directory of Chroma: it has no {TABLE}")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}/{TABLE}?mode=ro", uri=True)) as table:
        try:
            return sorted(name for (name,) in table.execute("SELECT id FROM tenants"))
        except sqlite3.OperationalError:
            return []  # older than tenants; the server creates the default one


@contextmanager
def serve(path: Path, system: System) -> Iterator[str]:
    """The url of Chroma's server on the directory, while the block runs. Raises InvalidArgument, Unavailable."""
    if find_spec("chromadb") is None:
        raise InvalidArgument(
            "chromadb is not installed, which its directories need: pip install 'afterglow-db[chromadb]'"
        )
    with socket() as probe:
        probe.bind((_HOST, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", _CODE, "run", "--path", str(path), "--host", _HOST, "--port", str(port)]
    url = f"http://{_HOST}:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            _wait(process, url, path, system)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: subprocess.Popen[bytes], url: str, path: Path, system: System) -> None:
    connection = ChromaConnection(url, replace(system, sleep=lambda _: None))
    deadline = system.now() + _START_SECONDS
    while system.now() < deadline and process.poll() is None:
        try:
            connection.call("GET", "/api/v2/heartbeat")
        except Unavailable:
            system.sleep(_PAUSE_SECONDS)
        else:
            return
        finally:
            connection.close()
    raise Unavailable(f"chromadb could not open {path}")
