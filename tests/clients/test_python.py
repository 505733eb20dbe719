"""Every generation of the Python client, each from its own environment: the same scenario, the same outcome."""

from pathlib import Path

import pytest

from tests.clients.judges import python
from tests.clients.scenario import OUTCOME, SINCE
from tests.support.server import HOST, Server, free_port, script, spawn, wait_until_ready

pytestmark = pytest.mark.clients

JUDGES = ("0-4-0", "0-5-15", "0-5-23", "0-6-3", "1-0-21", "1-5-9")
"""Up to 0.5.15 they speak v1."""


def expected(judge: str) -> dict[str, object]:
    version = tuple(int(each) for each in judge.split("-"))
    return {step: outcome for step, outcome in OUTCOME.items() if version >= SINCE.get(step, (0, 0, 0))}


@pytest.mark.parametrize("judge", JUDGES)
def test_the_scenario(judge: str, server: Server) -> None:
    assert python(judge, "scenario.py", f"http://{HOST}:{server.port}") == expected(judge)


def test_the_genuine_server_agrees(tmp_path: Path) -> None:
    port, configuration = free_port(), tmp_path / "chroma.yaml"
    configuration.write_text(
        f'allow_reset: true\nlisten_address: "{HOST}"\nport: {port}\npersist_path: "{tmp_path / "data"}"\n'
    )
    server = spawn([script("chroma"), "run", str(configuration)], tmp_path / "data", port)
    try:
        wait_until_ready(server)
        assert python("1-5-9", "scenario.py", f"http://{HOST}:{port}") == OUTCOME
    finally:
        server.stop()
