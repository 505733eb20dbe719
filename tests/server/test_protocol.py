"""What one connection may do: sizes, slowness, garbage."""

import json
import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.server.stubs import Stub, answer, get, stub


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with stub(
        client_timeout_seconds="0.6", max_request_line_bytes="1000", max_header_bytes="4000", max_connections="20"
    ) as running:
        yield running


def refused(connection: socket.socket, status: int, words: str, name: str = "ChromaError") -> None:
    """Expects a refusal in Chroma's shape, then the end of the connection."""
    got, headers, body = answer(connection)
    assert got == status
    error = json.loads(body)
    assert error["error"] == name
    assert words in error["message"]
    assert re.fullmatch("[0-9a-f]{32}", headers["chroma-trace-id"])
    assert headers["connection"] == "close"
    assert connection.recv(1) == b""


def test_requests_share_a_connection(server: Stub) -> None:
    with server.connect() as connection:
        assert get(connection) == get(connection)


def test_pipelined_requests_are_answered_in_order(server: Stub) -> None:
    with server.connect() as connection:
        request = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n"
        connection.sendall(request + b"one" + request + b"two")
        received = b""
        while b"two" not in received:
            received += connection.recv(65536)
        assert received.index(b"one") < received.index(b"two")


def test_a_long_request_line_is_414(server: Stub) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /" + b"a" * 1001 + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        refused(connection, 414, "the limit is 1000 bytes")


def test_a_request_line_without_end_is_414(server: Stub) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /")
        for _ in range(20):
            connection.sendall(b"a" * 100)
        refused(connection, 414, "the limit is 1000 bytes")


def test_many_headers_are_431(server: Stub) -> None:
    with server.connect() as connection:
        lines = b"".join(b"x-%d: %s\r\n" % (i, b"v" * 90) for i in range(60))
        connection.sendall(b"GET / HTTP/1.1\r\n" + lines + b"\r\n")
        refused(connection, 431, "the limit is 4000 bytes in total")


def test_a_header_without_end_is_431(server: Stub) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nx: ")
        for _ in range(60):
            connection.sendall(b"a" * 100)
            time.sleep(0.002)
        refused(connection, 431, "the limit is 4000 bytes in total")


def test_garbage_is_400(server: Stub) -> None:
    with server.connect() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        refused(connection, 400, "invalid http request", "InvalidArgumentError")


def test_garbage_after_a_good_request_does_not_spoil_its_answer(server: Stub) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n\x00garbage\r\n\r\n")
        status, headers, _ = answer(connection)
        assert status == 200
        assert headers["connection"] == "close"
        assert connection.recv(1) == b""


def test_a_bad_chunk_is_400(server: Stub) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
        refused(connection, 400, "invalid http request", "InvalidArgumentError")


def test_headers_that_do_not_end_in_time_are_408(server: Stub) -> None:
    with server.connect() as connection:
        began = time.monotonic()
        connection.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(0.4)
        connection.sendall(b"host: x\r\n")
        refused(connection, 408, "within 0.6 s")
        assert 0.5 < time.monotonic() - began < 5


def test_a_stalled_body_is_408(server: Stub) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n" + b"a" * 100)
        refused(connection, 408, "body stalled")


def test_a_slow_but_steady_body_is_served(server: Stub) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /size HTTP/1.1\r\nhost: x\r\ncontent-length: 8000\r\n\r\n")
        for _ in range(8):
            time.sleep(0.2)
            connection.sendall(b"a" * 1000)
        assert answer(connection)[2] == b"8000"


def test_a_connection_that_says_nothing_is_closed(server: Stub) -> None:
    with server.connect() as connection:
        assert connection.recv(1) == b""


def test_empty_lines_do_not_keep_a_connection(server: Stub) -> None:
    with server.connect() as connection:
        get(connection)
        connection.sendall(b"\r\n")
        connection.settimeout(3)
        assert connection.recv(1) == b""


def test_an_answer_may_take_longer_than_a_request(server: Stub) -> None:
    with server.connect() as connection:
        get(connection, "/slow")


def test_expect_continue(server: Stub) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(b"hi")
        assert answer(connection)[2] == b"hi"


def test_one_connection_too_many_is_503() -> None:
    with stub(max_connections="3") as server:
        held = [server.connect() for _ in range(3)]
        for connection in held:
            get(connection)
            connection.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(0.1)
        with server.connect() as extra:
            extra.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            refused(extra, 503, "serves 3 at a time")
        held.pop().close()
        time.sleep(0.1)
        with server.connect() as next_one:
            get(next_one)
        for connection in held:
            connection.sendall(b"host: x\r\n\r\n")
            assert answer(connection)[0] == 200
            connection.close()


@pytest.mark.slow
def test_an_idle_connection_outlives_the_time_for_requests() -> None:
    with stub(client_timeout_seconds="0.2") as server, server.connect() as connection:
        get(connection)
        time.sleep(0.8)
        get(connection)
