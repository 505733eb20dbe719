"""AWS in a process of its own: MiniStack, on a free port of the loopback interface, out of its own environment.

It is atomic, checks most of AWS's limits, and several processes may talk to it. An access key of twelve digits is the
account, and accounts share nothing: a test takes one of its own by `fresh_account`.
"""

import secrets
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.aws import REGION, environment
from tests.support.server import HOST, START_SECONDS, Server, ServerFailed, free_port, spawn

_MEMORY, _AVAILABLE_BYTES = Path("/dev/shm"), 16 * 1024**3
"""The file system in memory, and the memory without which nothing is put there: each container of a function has its
own copy of the layers, a quarter of a gigabyte, and the suite starts some thirty."""
PROGRAM = Path(__file__).resolve().parents[2] / ".venv-ministack" / "bin" / "ministack"


@dataclass(frozen=True, slots=True)
class MiniStack:
    """A running one. Where it speaks TLS, `certificate` is what its clients have to trust."""

    server: Server
    certificate: Path | None = None

    @property
    def url(self) -> str:
        """Where every service is served."""
        return f"{'http' if self.certificate is None else 'https'}://{HOST}:{self.server.port}"

    def environment(self, account: str) -> dict[str, str]:
        """What makes any AWS tool talk to it, as this account."""
        trusted = {} if self.certificate is None else {"AWS_CA_BUNDLE": str(self.certificate)}
        return {**environment(account, self.url), **trusted}


def fresh_account() -> str:
    """The number of an account that nobody used yet."""
    return f"{10**11 + secrets.randbelow(9 * 10**11)}"


@contextmanager
def ministack(*, auth: bool = False, tls: bool = False, variables: dict[str, str] | None = None) -> Iterator[MiniStack]:
    """MiniStack for the length of the block; `auth`: it enforces policies; `tls`: it speaks nothing else.

    What functions cache lies in its own folder too. Needs `make .venv-ministack/.ready`.
    """
    if not PROGRAM.is_file():
        raise ServerFailed(f"{PROGRAM} is missing: make .venv-ministack/.ready")
    parent = _MEMORY if _MEMORY.is_dir() and psutil.virtual_memory().available >= _AVAILABLE_BYTES else None
    with tempfile.TemporaryDirectory(prefix="afterglow-ministack-", dir=parent, ignore_cleanup_errors=True) as folder:
        port = free_port()
        certificate = Path(folder, "ministack-tls", "server.crt") if tls else None
        given = {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "MINISTACK_REGION": REGION,
            "LOG_LEVEL": "WARNING",
            "TMPDIR": folder,
            "HOME": folder,
            "AFTERGLOW_CACHE_DIR": str(Path(folder, "cache")),
            **({"AUTH": "true"} if auth else {}),
            **({"USE_SSL": "1", "AWS_CA_BUNDLE": str(certificate)} if tls else {}),
            **(variables or {}),
        }
        running = MiniStack(spawn([str(PROGRAM)], Path(folder, "ministack"), port, given), certificate)
        try:
            _wait_until_healthy(running)
            yield running
        finally:
            # It would wait for its clients to close their connections.
            running.server.stop(2)


def _wait_until_healthy(running: MiniStack) -> None:
    deadline = time.monotonic() + START_SECONDS
    while running.server.alive() and time.monotonic() < deadline:
        try:
            trusted = None if running.certificate is None else ssl.create_default_context(cafile=running.certificate)
            with urllib.request.urlopen(f"{running.url}/_ministack/health", timeout=5, context=trusted):
                return
        except (urllib.error.URLError, FileNotFoundError):
            time.sleep(0.05)
    raise ServerFailed(f"MiniStack did not start:\n{running.server.printed()}")
