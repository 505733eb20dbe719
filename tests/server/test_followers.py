"""Requests that wait for changes: they end when the server stops, and their waiting is no time of the server's."""

import re
import time
from pathlib import Path

import httpx
import pytest

from tests.support.server import HOST, running
from tests.support.wire import DATABASE


@pytest.mark.slow
def test_the_server_does_not_wait_for_those_that_wait(tmp_path: Path) -> None:
    environment = {"AFTERGLOW_SHUTDOWN_SECONDS": "60", "AFTERGLOW_SLOW_REQUEST_SECONDS": "0.5"}
    with running(tmp_path / "data", env=environment) as server:
        base = f"http://{HOST}:{server.port}"
        with httpx.Client(base_url=base, timeout=30.0) as client:
            created = client.post(f"{DATABASE}/collections", json={"name": "followed"}).json()
            path = f"{DATABASE}/collections/{created['id']}/changes"
            assert client.get(path + "?wait=0.8").status_code == 200
            metrics = client.get("/metrics").text
            total = re.search(r'afterglow_request_seconds_sum\{operation="records.changes"\} (\S+)', metrics)
            assert total is not None
            assert float(total[1]) < 0.5
            assert "records.changes" not in server.printed()
            with client.stream("GET", path, headers={"accept": "text/event-stream"}) as stream:
                pieces = stream.iter_text()
                assert next(pieces) == "retry: 2000\n\n"
                started = time.monotonic()
                server.process.terminate()
                assert "".join(pieces) == ""  # the stream ends in good order
            assert server.process.wait(30) == 0
            assert time.monotonic() - started < 15
