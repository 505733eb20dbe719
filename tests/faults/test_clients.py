"""Clients that send too much, too slowly or nothing: each gets a clear error, and other clients are not affected."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.support.http import BareClient, ConnectionLost, Response
from tests.support.server import Server, running
from tests.support.wire import DATABASE, Wire, json_bytes

IMPATIENT = {"AFTERGLOW_CLIENT_TIMEOUT_SECONDS": "1.5"}
LIMIT = 40 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that gives its clients little time."""
    env = {**IMPATIENT, "AFTERGLOW_MAX_BODY_BYTES": str(LIMIT)}
    with running(tmp_path_factory.mktemp("clients") / "data", env=env) as one:
        yield one


@pytest.fixture
def collection(server: Server) -> Iterator[str]:
    """A collection with a record; afterwards the server still serves it."""
    with server.client() as client:
        wire = Wire(client)
        created = wire.create("kind")
        wire.write(created, "upsert", {"ids": ["one"], "embeddings": [[1.0, 2.0]]})
        yield created
        assert wire.get(created)["ids"] == ["one"]
    assert server.alive()


def _open(server: Server, sent: bytes) -> socket.socket:
    connection = socket.create_connection((server.host, server.port), 30)
    connection.sendall(sent)
    return connection


def _message(response: Response) -> str:
    error = orjson.loads(response.body)
    assert set(error) == {"error", "message"}, error
    return str(error["message"])


def test_a_request_line_that_is_too_long(server: Server, collection: str) -> None:
    """414, and the limit is named."""
    with server.client() as client:
        response = client.request("GET", "/api/v2/tenants/" + "x" * 100_000)
        assert response.status == 414
        assert "too long" in _message(response)


def test_headers_that_are_too_large(server: Server, collection: str) -> None:
    """431, for many headers as for one that never ends."""
    for lines in (
        b"x-much: " + b"y" * 200_000,
        b"\r\n".join(b"x-%d: " % number + b"y" * 1000 for number in range(200)),
    ):
        with server.client() as client:
            response = client.call(b"GET /api/v2/heartbeat HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n\r\n")
            assert response.status == 431


def test_something_other_than_http(server: Server, collection: str) -> None:
    """400, not silence."""
    with server.client() as client:
        assert client.call(b"\x16\x03\x01\x02\x00 this is not http\r\n\r\n").status == 400


def test_a_body_declared_too_large(server: Server, collection: str) -> None:
    """413: at once for a client that sends `Expect`, after the body for one that does not."""
    head = f"POST {DATABASE}/collections/{collection}/add HTTP/1.1\r\nHost: x\r\nContent-Length: {LIMIT + 1}\r\n"
    with server.client() as client:
        response = client.call(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert response.status == 413
        assert str(LIMIT) in _message(response)
    with server.client() as client:
        response = client.call(head.encode() + b"\r\n" + b"x" * (LIMIT + 1))
        assert response.status == 413
        assert str(LIMIT) in _message(response)


def test_a_body_that_turns_out_too_large(server: Server, collection: str) -> None:
    """413 for endless chunks, whether or not the client reads before it has sent them all."""
    head = f"POST {DATABASE}/collections/{collection}/add HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with server.client() as client:
        response = client.call(head.encode() + chunk * 45 + b"0\r\n\r\n")
        assert response.status == 413


def test_a_body_just_below_the_limit(server: Server, collection: str) -> None:
    """Is read and validated."""
    with server.client() as client:
        body = json_bytes({"ids": ["x" * (LIMIT - 100)], "embeddings": [[1.0]]})
        assert client.request("POST", f"{DATABASE}/collections/{collection}/add", body).status == 400


def test_headers_that_never_end(server: Server, collection: str) -> None:
    """408 after the client timeout; a connection without any bytes is closed without a response."""
    slow = _open(server, b"GET /api/v2/heartbeat HTTP/1.1\r\nHost: x\r\n")
    silent = _open(server, b"")
    slow.settimeout(10)
    silent.settimeout(10)
    assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
    assert silent.recv(100) == b""
    slow.close()
    silent.close()


def test_a_body_that_trickles(server: Server, collection: str) -> None:
    """408, although a byte comes every now and then."""
    head = f"POST {DATABASE}/collections/{collection}/add HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
    connection = _open(server, head.encode())
    connection.settimeout(0.2)
    response = b""
    deadline = time.monotonic() + 15
    while not response and time.monotonic() < deadline:
        connection.sendall(b" ")
        try:
            response = connection.recv(1000)
        except TimeoutError:
            continue
    connection.close()
    assert response.startswith(b"HTTP/1.1 408 ")


def test_slow_clients_do_not_delay_others(server: Server, collection: str) -> None:
    """Hundreds of unfinished requests, and still a fast response."""
    head = f"POST {DATABASE}/collections/{collection}/get HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{{"
    slow = [_open(server, head.encode()) for _ in range(300)]
    try:
        with server.client() as client:
            began = time.monotonic()
            assert Wire(client).count(collection) == 1
            assert time.monotonic() - began < 8
    finally:
        for connection in slow:
            connection.close()


def test_clients_that_hang_up(server: Server, collection: str) -> None:
    """In the middle of a request, or before they read the response."""
    body = json_bytes({"include": ["embeddings"]})
    whole = f"POST {DATABASE}/collections/{collection}/get HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    for sent in (whole.encode() + body, whole.encode() + body[:5], whole.encode()[:30]):
        for _ in range(20):
            _open(server, sent).close()


def test_a_connection_is_usable_after_an_error(server: Server, collection: str) -> None:
    """A rejected request keeps the connection open; pipelined requests are answered in order."""
    with server.client() as client:
        assert client.request("POST", f"{DATABASE}/collections/{collection}/add", b"{not json").status == 400
        assert client.request("GET", "/api/v2/heartbeat").status == 200
    line = b"GET /api/v2/version HTTP/1.1\r\nHost: x\r\n\r\n"
    with BareClient(server.host, server.port) as client:
        assert [client.call(line * 2).status, client.call(b"").status] == [200, 200]


@pytest.mark.slow
def test_more_connections_than_are_served(tmp_path: Path) -> None:
    """503 for one connection too many, and normal service after others have closed."""
    with running(tmp_path / "data", env={"AFTERGLOW_MAX_CONNECTIONS": "10"}) as server:
        held = [_open(server, b"GET /api/v2/heartbeat HTTP/1.1\r\n") for _ in range(10)]
        time.sleep(0.2)
        with server.client() as client:
            assert client.request("GET", "/api/v2/heartbeat").status == 503
        for connection in held:
            connection.close()
        deadline = time.monotonic() + 10
        status = 503
        while status == 503 and time.monotonic() < deadline:
            try:
                with server.client() as client:
                    status = client.request("GET", "/api/v2/heartbeat").status
            except ConnectionLost:
                continue
        assert status == 200
