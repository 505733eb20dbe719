"""Few descriptors: open collections need none, and at the limit the server goes on."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.catalog import schema
from afterglow.collection.types import Scope
from afterglow.deployment.local import open_local
from afterglow.jobs.start import compact_all, start_engine
from afterglow.log.batch import Batch, Op
from afterglow.server import open_files
from afterglow.settings import Settings, System
from tests.server.stubs import Stub, answer, get, stub
from tests.support.server import HOST, afterglow_command, free_port, spawn, wait_until_ready
from tests.support.wire import Wire

pytestmark = pytest.mark.slow

COLLECTIONS = 400


@given(st.integers(64, 200_000), st.integers(1, 100_000))
def test_the_shares_fit_in_the_limit(limit: int, connections: int) -> None:
    shares = open_files.share(limit, 16, connections)
    refused = min(shares.connections, open_files.MAX_REFUSED)
    assert open_files._PROCESS + 3 * shares.threads + shares.connections + refused <= limit
    assert 2 <= shares.threads <= 16
    assert shares.connections <= connections


def test_a_usual_limit_changes_nothing() -> None:
    assert open_files.share(4_096, 16, 1_000) == open_files.FileShares(16, 1_000)
    assert open_files.share(1_024, 16, 1_000).connections > 800


@contextlib.contextmanager
def open_limit(server: Stub, files: int) -> Iterator[None]:
    """The running server's limit is `files` more than it has open."""
    process = psutil.Process(server.process.pid)
    old = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + files, old[1]))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_NOFILE, old)


def test_without_descriptors_an_idle_connection_gives_way_and_nobody_is_forgotten() -> None:
    with stub() as server, open_limit(server, 10):
        connections = [server.connect() for _ in range(60)]
        for connection in connections:
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert [answer(connection)[0] for connection in connections] == [200] * 60
        for connection in connections:
            connection.close()
        with server.connect() as fresh:
            get(fresh)


def test_after_a_time_without_any_descriptor_the_server_listens_again() -> None:
    with stub() as server:
        with open_limit(server, 3):
            busy = [server.connect() for _ in range(10)]
            for connection in busy:
                connection.sendall(b"GET / HTTP/1.1\r\n")
            time.sleep(1)
            assert server.process.poll() is None
        for connection in busy:
            connection.sendall(b"host: x\r\n\r\n")
            assert answer(connection)[0] == 200
            connection.close()


def test_a_worker_without_descriptors_loses_no_count() -> None:
    with stub(workers=1, max_connections="50") as server:
        (worker,) = psutil.Process(server.process.pid).children()
        old = worker.rlimit(psutil.RLIMIT_NOFILE)
        worker.rlimit(psutil.RLIMIT_NOFILE, (worker.num_fds() + 5, old[1]))
        connections = [server.connect() for _ in range(20)]
        time.sleep(0.5)
        for connection in connections:
            connection.close()
        worker.rlimit(psutil.RLIMIT_NOFILE, old)
        time.sleep(0.2)
        with server.connect() as fresh:
            get(fresh)
        assert worker.is_running()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a flushed collection and forks of it, each of which opens its segments by itself."""
    path, system = tmp_path_factory.mktemp("open") / "data", System()
    settings = Settings()
    engine = start_engine(open_local(path, system), settings, system)
    tenant, database = "default_tenant", "default_database"
    first = engine.create_collection(tenant, database, "name-0", None, schema.reconcile(None, None, None))
    scope = Scope(tenant, database, first.id)
    engine.write(scope, Batch(Op.ADD, ["a", "b"], np.eye(2, 4, dtype=np.float32)))
    engine.close()
    for _ in compact_all(open_local(path, system), settings, system):
        pass
    engine = start_engine(open_local(path, system), settings, system)
    for number in range(1, COLLECTIONS):
        engine.fork(scope, f"name-{number}")
    engine.close()
    return path


def limited(command: list[str], files: int) -> list[str]:
    return ["/bin/sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["one", "two"])
def test_400_collections_are_served_at_a_limit_of_256(directory: Path, options: list[str]) -> None:
    port = free_port()
    server = spawn(limited(afterglow_command(directory, port, options), 256), directory, port)
    try:
        wait_until_ready(server)
        with server.client() as client:
            wire = Wire(client)
            ids = {item["name"]: item["id"] for item in wire.call("GET", "/collections")}
            assert len(ids) == COLLECTIONS
            for collection in [*ids.values(), *ids.values()][: COLLECTIONS + 50]:
                found = wire.call(
                    "POST", f"/collections/{collection}/query", {"query_embeddings": [[1, 0, 0, 0]], "n_results": 1}
                )
                assert found["ids"] == [["a"]]
    finally:
        server.stop()


def test_the_server_lives_at_a_limit_of_64(directory: Path) -> None:
    port = free_port()
    server = spawn(limited(afterglow_command(directory, port), 64), directory, port)
    try:
        wait_until_ready(server)
        with server.client() as client:
            ids = [item["id"] for item in Wire(client).call("GET", "/collections?limit=60")]
        clients = [server.client() for _ in range(60)]
        statuses = []
        for client, collection in zip(clients, ids, strict=True):
            statuses.append(client.request("GET", f"{HOME}/{collection}/count").status)
        assert set(statuses) == {200}
        sockets = [socket.create_connection((HOST, port), 20) for _ in range(100)]
        time.sleep(1)
        for connection in sockets:
            connection.close()
        for client in clients:
            client.close()
        with server.client() as client:
            assert client.request("GET", f"{HOME}/{ids[0]}/count").body == b"2"
    finally:
        server.stop()


HOME = "/api/v2/tenants/default_tenant/databases/default_database/collections"

EMBEDDED = """
import resource, sys
import afterglow
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
with afterglow.PersistentClient(sys.argv[1]) as client:
    for number in range(int(sys.argv[2])):
        collection = client.get_collection(f"name-{number}", embedding_function=None)
        assert collection.query(query_embeddings=[[1, 0, 0, 0]], n_results=1)["ids"] == [["a"]]
    held = [open(sys.executable, "rb") for _ in range(100)]
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_400_collections_are_embedded_at_a_limit_of_256(directory: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", EMBEDDED, str(directory), str(COLLECTIONS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=dict(os.environ),
    )
    assert ended.stdout.strip() == "(256, 256)", ended.stderr[-2000:]
