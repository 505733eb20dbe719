"""AFTERGLOW_MAX_CONNECTIONS: an idle connection gives way to a new one, a busy connection does not."""

import socket
import time

import pytest

from tests.server.stubs import Stub, answer, get, stub

pytestmark = pytest.mark.slow

HALF = b"GET / HTTP/1.1\r\nhost: x\r\n"
"""A head without its last line: the connection is busy until the rest arrives."""


def busy(server: Stub) -> socket.socket:
    connection = server.connect()
    connection.sendall(HALF)
    return connection


def status(server: Stub) -> tuple[int, socket.socket]:
    """The status of a request on a new connection, which stays open."""
    connection = server.connect()
    connection.sendall(HALF + b"\r\n")
    return answer(connection)[0], connection


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    finally:
        connection.settimeout(20)


def test_the_connection_that_is_idle_longest_gives_way() -> None:
    with stub(max_connections="3") as server:
        first, second, third = [server.connect() for _ in range(3)]
        for connection in (second, third, first):
            get(connection)
            time.sleep(0.01)
        with server.connect() as fourth:
            get(fourth)
            assert is_closed(second)
            for connection in (third, first, fourth):
                get(connection)
        for connection in (first, second, third):
            connection.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_many_clients_that_keep_their_connections_are_all_served(workers: int) -> None:
    with stub(workers=workers, max_connections="5") as server:
        results = [status(server) for _ in range(60)]
        assert {code for code, _ in results} == {200}
        assert sum(not is_closed(connection) for _, connection in results[-20:]) == 5 * (workers or 1)
        for _, connection in results:
            connection.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_busy_connection_does_not_give_way(workers: int) -> None:
    processes = workers or 1
    with stub(workers=workers, max_connections="3") as server:
        held = [busy(server) for _ in range(3 * processes)]
        time.sleep(0.1)
        code, refused = status(server)
        assert code == 503
        refused.close()
        for connection in held:
            connection.sendall(b"\r\n")
            assert answer(connection)[0] == 200
        for connection in held[:processes]:
            connection.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.1)
        newcomers = [status(server) for _ in range(2 * processes)]
        assert {code for code, _ in newcomers} == {200}
        for connection in held[:processes]:
            assert answer(connection)[0] == 200
        for connection in (*held, *(connection for _, connection in newcomers)):
            connection.close()


def test_a_connection_whose_response_is_not_yet_delivered_does_not_give_way() -> None:
    with stub(max_connections="2") as server, server.connect() as downloading, server.connect() as other:
        downloading.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.3)
        get(other)
        for _ in range(3):
            code, connection = status(server)
            assert code == 200
            connection.close()
        assert len(answer(downloading)[2]) == 30_000_000


def test_refused_connections_do_not_count() -> None:
    with stub(max_connections="3") as server:
        held = [busy(server) for _ in range(3)]
        time.sleep(0.1)
        refused = [status(server) for _ in range(3)]
        assert {code for code, _ in refused} == {503}
        held.pop().close()
        time.sleep(0.1)
        code, connection = status(server)
        assert code == 200
        for held_connection in (connection, *held, *(connection for _, connection in refused)):
            held_connection.close()


def test_a_new_connection_gives_way_only_once_it_is_silent_for_a_while() -> None:
    with stub(max_connections="2") as server, server.connect() as first, server.connect() as second:
        time.sleep(0.1)
        code, refused = status(server)
        assert code == 503
        refused.close()
        time.sleep(1.2)
        code, third = status(server)
        assert code == 200
        # Both are silent since the same moment.
        (left,) = [connection for connection in (first, second) if not is_closed(connection)]
        get(left)
        get(third)
        third.close()
