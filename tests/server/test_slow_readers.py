"""A response must be read at the speed that a request body must have, or the connection is aborted."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import psutil
import pytest

from tests.server.stubs import Stub, answer, get, stub

pytestmark = pytest.mark.slow

GET = "GET {} HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with stub(client_timeout_seconds="1", keep_alive_seconds="60") as running:
        yield running


def connect(server: Stub) -> socket.socket:
    """A connection with a small receive buffer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", server.port))
    return connection


def open_connections(server: Stub) -> int:
    connections = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(connection.status == "ESTABLISHED" for connection in connections)


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def wait_until_closed(server: Stub) -> bool:
    return wait_until(lambda: open_connections(server) == 0)


@pytest.mark.parametrize("path", ["/large", "/streamed"])
@pytest.mark.parametrize("ending", ["", "connection: close\r\n"], ids=["kept", "last"])
def test_a_response_that_is_not_read_ends_the_connection(server: Stub, path: str, ending: str) -> None:
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(4)]
        for client in clients:
            client.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n{ending}\r\n".encode())
        time.sleep(0.2)
        assert open_connections(server) == 4
        assert wait_until_closed(server)
        # The server closes a socket a moment before it frees what was to be sent on it.
        assert wait_until(lambda: process.memory_info().rss - before < 80_000_000)


def test_small_responses_that_are_not_read_end_the_connection(server: Stub) -> None:
    with connect(server) as client:
        client.settimeout(0.2)
        # The kernel may take all of the requests, whatever the server reads of them.
        with suppress(TimeoutError, ConnectionError):
            client.sendall(GET.format("/").encode() * 1_000_000)
        assert wait_until_closed(server)


@pytest.mark.parametrize("path", ["/large", "/streamed"])
def test_a_slow_but_steady_reader_gets_the_whole_response(server: Stub, path: str) -> None:
    with connect(server) as client:
        client.sendall(GET.format(path).encode())
        received = 0
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            received += len(client.recv(16_384))
            time.sleep(0.05)
        assert received < 3_000_000
        while received < 30_000_000:
            data = client.recv(1_000_000)
            assert data
            received += len(data)


def test_a_client_that_leaves_amid_pipelined_requests_leaves_no_error() -> None:
    with stub() as server:
        for _ in range(5):
            with connect(server) as client:
                client.sendall((GET.format("/slow") + GET.format("/")).encode() * 3)
                time.sleep(0.1)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        time.sleep(1.5)
        server.process.terminate()
        assert "Traceback" not in server.process.communicate(timeout=20)[1]


def test_a_reader_that_pauses_between_responses_keeps_its_connection(server: Stub) -> None:
    with connect(server) as client:
        for _ in range(3):
            get(client)
            time.sleep(1.2)
        client.sendall(GET.format("/slow").encode())
        assert answer(client)[0] == 200
