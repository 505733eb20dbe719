"""The nginx site for a local network: the server's keys pass through, and its limits hold."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deploy import nginx
from tests.support.server import HOST, running

pytestmark = pytest.mark.skipif(nginx.program() is None, reason="nginx is not installed: make .nginx/.ready")

TOKEN = "a-token-of-this-test"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "nginx"
    folder.mkdir()
    env = {"AFTERGLOW_AUTH": "token", "AFTERGLOW_AUTH_TOKEN": TOKEN}
    with running(tmp_path / "data", env=env) as server, (folder / "output").open("wb") as output:
        port = nginx.write_lan_configuration(folder, server.port)
        process = subprocess.Popen(nginx.command(folder), stdout=output, stderr=output, start_new_session=True)
        try:
            yield f"http://{HOST}:{port}"
        finally:
            process.terminate()
            process.wait(30)
    assert b"[emerg]" not in (folder / "output").read_bytes()


def wait(client: httpx.Client) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            client.get("/api/v2/heartbeat")
        except httpx.ConnectError:
            assert time.monotonic() < deadline, "nginx does not answer"
            time.sleep(0.05)
        else:
            return


def test_keys_and_names_pass_through(url: str) -> None:
    databases = "/api/v2/tenants/default_tenant/databases"
    with httpx.Client(base_url=url, trust_env=False) as client:
        wait(client)
        assert client.get(databases).json()["error"] == "AuthError"
        for headers in ({"authorization": f"Bearer {TOKEN}"}, {"x-chroma-token": TOKEN}):
            assert client.get(databases, headers=headers).status_code == 200
        body = b" " * (2 * 1024 * 1024)
        response = client.post(f"{databases}/default_database/collections", content=body, headers=headers)
        assert response.status_code not in (413, 502)
        assert "error" in response.json()
