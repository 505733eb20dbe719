"""`afterglow run` as a whole: its first line, its data, its end."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.server import Server, running
from tests.support.wire import Wire

PROGRAM = Path(sys.executable).with_name("afterglow")

both = pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["one", "two"])


def processes(server: Server) -> list[psutil.Process]:
    first = psutil.Process(server.process.pid)
    return [first, *first.children(recursive=True)]


def wait_for_index(wire: Wire, collection: str) -> None:
    while wire.unindexed(collection):
        time.sleep(0.05)


@pytest.mark.slow
@both
def test_a_life(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "new" / "data"
    path.parent.mkdir()
    with running(path, options=options, env={"AFTERGLOW_FLUSH_IDLE_SECONDS": "0.1"}) as server:
        serves, where = server.printed().splitlines()[0].split(", data in ")
        assert re.fullmatch(rf"afterglow \S+ serves the Chroma API on http://127\.0\.0\.1:{server.port}", serves)
        workers = ", 2 workers" if options else ""
        assert where == f"{path}, pid {server.process.pid}{workers}"
        with server.client() as client:
            wire = Wire(client)
            collection = wire.create("things")
            wire.write(collection, "add", {"ids": ["a"], "embeddings": [[1, 2]], "documents": ["kept"]})
            wait_for_index(wire, collection)
            alive = processes(server)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(20) == 0
            assert not psutil.wait_procs(alive, timeout=10)[1]
        assert all(" ERROR " not in line and "Traceback" not in line for line in server.printed().splitlines())
    with running(path, options=options) as server, server.client() as client:
        assert Wire(client).get(collection)["documents"] == ["kept"]


@pytest.mark.slow
@both
def test_nothing_is_left_of_a_killed_server(tmp_path: Path, options: list[str]) -> None:
    env = {"AFTERGLOW_FLUSH_IDLE_SECONDS": "0.1"}
    with running(tmp_path / "data", options=options, env=env) as server, server.client() as client:
        wire = Wire(client)
        collection = wire.create("things")
        wire.write(collection, "add", {"ids": ["a"], "embeddings": [[1, 2]]})
        wait_for_index(wire, collection)
        alive = processes(server)
        os.kill(server.process.pid, signal.SIGKILL)
        left = psutil.wait_procs(alive, timeout=60)[1]
        assert not left, f"{left}\n{server.printed()}"


@pytest.mark.slow
@both
def test_a_damaged_table_is_one_line(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "table.sqlite").write_bytes(b"not a database, " * 1000)
    done = subprocess.run(
        [PROGRAM, "run", "--path", str(tmp_path), "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert {line for line in done.stderr.splitlines() if "table.sqlite" not in line} == set()
    assert "Traceback" not in done.stderr
