"""Starting the stub server for one test, and speaking raw bytes to it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Stub:
    """A running stub server."""

    process: subprocess.Popen[str]
    port: int

    def connect(self, timeout: float = 20.0) -> socket.socket:
        """A new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)


def start(workers: int, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """The process, in a group of its own; its first line of output is its port and pid."""
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("stub_server.py")), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        start_new_session=True,
    )


@contextlib.contextmanager
def stub(workers: int = 0, **settings: str) -> Iterator[Stub]:
    """A stub server with `settings` (lower case names) from the environment; killed at the end if it still lives."""
    process = start(workers, {f"AFTERGLOW_{name.upper()}": value for name, value in settings.items()})
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        assert first, process.communicate()[1]
        yield Stub(process, int(first.split()[0]))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def get(connection: socket.socket, path: str = "/") -> bytes:
    """The body of the answer to a GET over a kept connection."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    status, _, body = answer(connection)
    assert status == 200
    return body


def answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"closed after {received!r}")
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return int(first.split()[1]), headers, body
