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

from afterglow.bulk.http_connection import HttpConnection
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


class ChromaServer:
    """Chroma's server on a directory; it may end by itself if the directory is damaged, and can be started again."""

    def __init__(self, path: Path, system: System) -> None:
        """Raises InvalidArgument, Unavailable."""
        if find_spec("chromadb") is None:
            raise InvalidArgument(
                "chromadb is not installed, which its directories need: pip install 'afterglow-db[chromadb]'"
            )
        self._path = path
        self._system = system
        with socket() as probe:
            probe.bind((_HOST, 0))
            self._port = probe.getsockname()[1]
        self._process = self._start()

    @property
    def url(self) -> str:
        """The url of the server, the same after a restart."""
        return f"http://{_HOST}:{self._port}"

    def is_running(self) -> bool:
        """Whether the process exists."""
        return self._process.poll() is None

    def restart(self) -> None:
        """Start the server again if it has ended. Raises Unavailable."""
        if not self.is_running():
            self._process = self._start()

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        options = ["--path", str(self._path), "--host", _HOST, "--port", str(self._port)]
        command = [sys.executable, "-c", _CODE, "run", *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        try:
            _wait(process, self.url, self._path, self._system)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process


@contextmanager
def open_server(path: Path, system: System) -> Iterator[ChromaServer]:
    """Chroma's server on the directory, while the block runs. Raises InvalidArgument, Unavailable."""
    server = ChromaServer(path, system)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def serve(path: Path, system: System) -> Iterator[str]:
    """The url of Chroma's server on the directory, while the block runs. Raises InvalidArgument, Unavailable."""
    with open_server(path, system) as server:
        yield server.url


def _wait(process: subprocess.Popen[bytes], url: str, path: Path, system: System) -> None:
    connection = HttpConnection(url, replace(system, sleep=lambda _: None))
    deadline = system.monotonic() + _START_SECONDS
    while system.monotonic() < deadline and process.poll() is None:
        try:
            connection.call("GET", "/api/v2/heartbeat")
        except Unavailable:
            system.sleep(_PAUSE_SECONDS)
        else:
            return
        finally:
            connection.close()
    raise Unavailable(f"chromadb could not open {path}")
