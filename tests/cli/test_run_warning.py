"""`afterglow run` without authentication: one warning line on an address that other machines can reach."""

from pathlib import Path

import pytest

from afterglow.server import sockets
from tests.support.server import running

WARNING = "authentication is off"


@pytest.mark.parametrize(
    ("host", "is_loopback"), [("127.0.0.1", True), ("localhost", True), ("127.9.8.7", True), ("0.0.0.0", False)]
)
def test_loopback_addresses(host: str, is_loopback: bool) -> None:
    listeners = sockets.listen(host, 0)
    try:
        assert sockets.are_loopback(listeners) == is_loopback
    finally:
        for listener in listeners:
            listener.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "env", "warnings"),
    [
        ("0.0.0.0", {}, 1),
        ("0.0.0.0", {"AFTERGLOW_AUTH": "token", "AFTERGLOW_AUTH_TOKEN": "a-long-enough-token"}, 0),
        ("127.0.0.1", {}, 0),
    ],
)
def test_the_warning_is_printed_once(tmp_path: Path, host: str, env: dict[str, str], warnings: int) -> None:
    with running(tmp_path, options=["--host", host], env=env) as server:
        lines = [line for line in server.printed().splitlines() if WARNING in line]
        assert len(lines) == warnings, lines
        assert all("AFTERGLOW_AUTH" in line and host in line for line in lines)
