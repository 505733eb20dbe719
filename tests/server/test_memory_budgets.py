"""Slow clients hold little memory, and none that others need: bodies that trickle in, responses that are not read."""

import base64
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil
import pytest

from tests.support.http import BareClient, ConnectionLost
from tests.support.server import HOST, Server, running
from tests.support.wire import Wire

pytestmark = pytest.mark.slow

HOME = "/api/v2/tenants/default_tenant/databases/default_database/collections"
MB = 1_000_000
BODIES = {"AFTERGLOW_MAX_INFLIGHT_BODY_BYTES": str(2 * MB), "AFTERGLOW_MAX_BODY_BYTES": str(MB)}
RESPONSES = {"AFTERGLOW_MAX_INFLIGHT_RESPONSE_BYTES": str(32 * MB), "AFTERGLOW_CLIENT_TIMEOUT_SECONDS": "60"}


def chunk(size: int) -> bytes:
    return b"%x\r\n" % size + b" " * size + b"\r\n"


def post(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode()


def connect(server: Server, size: int = 0) -> socket.socket:
    """A connection, with a receive buffer of about this size."""
    connection = socket.socket()
    if size:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    connection.settimeout(20)
    connection.connect((HOST, server.port))
    return connection


@pytest.fixture
def connections() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def status(connection: socket.socket) -> int:
    return int(connection.recv(12)[9:12])


def records(first: int, count: int, size: int = 0) -> bytes:
    ids = [f"r{number}" for number in range(first, first + count)]
    return orjson.dumps(
        {
            "ids": ids,
            "embeddings": [base64.b64encode(bytes(4 * 8)).decode()] * count,
            "documents": ["x" * size] * count,
        }
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("budgets") / "data", env={**BODIES, **RESPONSES}) as running_server:
        yield running_server


@pytest.fixture
def collection(server: Server) -> Iterator[str]:
    with server.client() as client:
        wire = Wire(client)
        name = f"c{time.monotonic_ns()}"
        yield wire.create(name)
        client.request("DELETE", f"{HOME}/{name}")


def test_strangers_hold_no_memory_for_bodies(tmp_path: Path) -> None:
    """Four chunked bodies at 2 kB/s without credentials, while a write with a key needs more than a small body."""
    env = {"AFTERGLOW_AUTH": "token", "AFTERGLOW_AUTH_TOKEN": "secret-token-of-the-test", **BODIES}
    key = "x-chroma-token: secret-token-of-the-test"
    with running(tmp_path / "data", env=env) as server, contextlib.ExitStack() as stack:
        with server.client() as client:
            body = b'{"name":"things"}'
            made = client.call(post(HOME, key, f"content-length: {len(body)}") + body)
            assert made.status == 200, made.body
            collection = orjson.loads(made.body)["id"]
        strangers = [stack.enter_context(connect(server)) for _ in range(4)]
        for stranger in strangers:
            stranger.sendall(post(f"{HOME}/{collection}/add", "transfer-encoding: chunked"))
        longest = 0.0
        for turn in range(20):
            for stranger in strangers:
                stranger.sendall(chunk(200))
            time.sleep(0.1)
            if turn % 5 == 4:
                body = records(turn, 1, 130_000)
                began = time.monotonic()
                with server.client(timeout=20) as client:
                    written = client.call(post(f"{HOME}/{collection}/add", key, f"content-length: {len(body)}") + body)
                assert written.status == 201, written.body
                longest = max(longest, time.monotonic() - began)
        assert longest < 10
        for stranger in strangers:
            stranger.sendall(b"0\r\n\r\n")
            assert status(stranger) == 401


def test_a_body_holds_what_it_has_brought(server: Server, collection: str, connections: contextlib.ExitStack) -> None:
    """More bodies than the budget could hold if each counted in full, none of them far advanced."""
    slow = [connections.enter_context(connect(server)) for _ in range(12)]
    for connection in slow:
        connection.sendall(post(f"{HOME}/{collection}/add", f"content-length: {MB}") + b" " * 100_000)
    time.sleep(0.3)
    began = time.monotonic()
    with server.client(timeout=20) as client:
        body = records(0, 1, 500_000)
        assert client.request("POST", f"{HOME}/{collection}/add", body).status == 201
    assert time.monotonic() - began < 10
    for connection in slow:
        connection.close()


def test_a_stalled_body_gives_way(server: Server, collection: str, connections: contextlib.ExitStack) -> None:
    """Bodies that fill the budget and then stop: refused with 408 as soon as another request needs their memory."""
    stalled = [connections.enter_context(connect(server)) for _ in range(3)]
    for connection in stalled:
        connection.sendall(post(f"{HOME}/{collection}/add", f"content-length: {MB}"))
        with contextlib.suppress(TimeoutError):
            connection.settimeout(0.5)
            connection.sendall(b" " * 900_000)
    began = time.monotonic()
    with server.client(timeout=30) as client:
        answer = client.request("POST", f"{HOME}/{collection}/add", records(0, 1, 900_000))
        assert answer.status == 201, answer.body
    # Each of those before it has some seconds to move on.
    assert time.monotonic() - began < 18
    refused = 0
    for connection in stalled:
        connection.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            refused += status(connection) == 408
        connection.close()
    assert refused


def test_responses_that_are_not_read_hold_bounded_memory(
    server: Server, collection: str, connections: contextlib.ExitStack
) -> None:
    """24 clients with a response of 10 MB each in a budget of 32 MB, 16 MB waiting, and one client that reads."""
    with server.client() as client:
        for number in range(20):
            body = records(number, 1, 500_000)
            assert client.request("POST", f"{HOME}/{collection}/add", body).status == 201
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    body = b'{"include":["documents"]}'
    request = post(f"{HOME}/{collection}/get", f"content-length: {len(body)}") + body
    clients = [connections.enter_context(connect(server, 65_536)) for _ in range(24)]
    for connection in clients:
        connection.sendall(request)
    # What is taken from the budget and what waits; without a bound it would be 240 MB and more.
    assert _falls_below(process, before + 150 * MB)
    began = time.monotonic()
    with server.client(timeout=30) as client:
        assert client.request("GET", f"{HOME}/{collection}/count").body == b"20"
        assert time.monotonic() - began < 5
        answer = _until_served(client, f"{HOME}/{collection}/get", body)
        assert len(answer) > 10 * MB
    outcomes = [_outcome(connection) for connection in clients]
    # Some never had room, and some lost it to others because they did not read.
    assert outcomes.count("503") >= 2, outcomes
    assert outcomes.count("cut off") >= 1, outcomes
    assert _falls_below(process, before + 100 * MB)  # freed memory is returned


def _falls_below(process: psutil.Process, size: int) -> bool:
    deadline = time.monotonic() + 15
    while process.memory_info().rss > size and time.monotonic() < deadline:
        time.sleep(0.05)
    return process.memory_info().rss <= size


def _until_served(client: BareClient, path: str, body: bytes) -> bytes:
    """The response; a 503 asks to try again, which a client does."""
    deadline = time.monotonic() + 20
    while True:
        answer = client.request("POST", path, body)
        if answer.status == 200 or time.monotonic() > deadline:
            return answer.body
        assert answer.status == 503
        assert answer.header("retry-after")
        client.close()
        time.sleep(0.5)


def _outcome(connection: socket.socket) -> str:
    received, size = b"", 0
    connection.settimeout(2)
    with connection, contextlib.suppress(ConnectionError, TimeoutError):
        while piece := connection.recv(1 << 16):
            received = received or piece
            size += len(piece)
    if received[9:12] == b"503":
        return "503"
    return "cut off" if size < 10 * MB else "whole"


def test_a_large_response_is_whole_for_a_slow_reader(
    server: Server, collection: str, connections: contextlib.ExitStack
) -> None:
    """Nobody else waits, so a steady reader may take its time."""
    with server.client() as client:
        for number in range(8):
            assert client.request("POST", f"{HOME}/{collection}/add", records(number, 1, 500_000)).status == 201
    with connect(server, 65_536) as connection:
        connection.sendall(post(f"{HOME}/{collection}/get", "content-length: 25") + b'{"include":["documents"]}')
        size = 0
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            size += len(connection.recv(50_000))
            time.sleep(0.05)
        while size < 4 * MB:
            size += len(connection.recv(1 << 18))
    assert size > 4 * MB


def test_a_client_that_leaves_during_a_large_response_frees_its_memory(
    server: Server, collection: str, connections: contextlib.ExitStack
) -> None:
    with server.client() as client:
        for number in range(20):
            assert client.request("POST", f"{HOME}/{collection}/add", records(number, 1, 500_000)).status == 201
    body = b'{"include":["documents"]}'
    for _ in range(8):
        with connect(server, 65_536) as connection:
            connection.sendall(post(f"{HOME}/{collection}/get", f"content-length: {len(body)}") + body)
            connection.recv(1000)
    with server.client() as client, contextlib.suppress(ConnectionLost):
        assert client.request("POST", f"{HOME}/{collection}/get", body).status == 200
