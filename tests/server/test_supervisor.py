"""Several processes behind one address: spreading, crashes, the end."""

import os
import signal
import socket
import threading
import time

import psutil
import pytest

from afterglow.server.supervisor import HUNG_SECONDS, QUIET_SECONDS
from tests.server.stubs import Stub, answer, get, start, stub

pytestmark = pytest.mark.slow


def workers_of(server: Stub) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children()


def gone(processes: list[psutil.Process], seconds: float = 10.0) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def test_connections_spread_evenly() -> None:
    with stub(workers=2) as server:
        for _ in range(3):
            connections = [server.connect() for _ in range(4)]
            answering = [get(connection) for connection in connections]
            assert sorted(answering.count(pid) for pid in set(answering)) == [2, 2]
            # The next connection goes where one has ended.
            connections[0].close()
            time.sleep(0.05)
            with server.connect() as again:
                assert get(again) == answering[0]
            for connection in connections[1:]:
                connection.close()
            time.sleep(0.05)


def test_a_connection_stays_unbuffered() -> None:
    """Small answers must not wait for Nagle's algorithm: 200 round trips with a delayed ack would take 8 s."""
    with stub(workers=1) as server, server.connect() as connection:
        began = time.monotonic()
        for _ in range(200):
            get(connection)
        assert time.monotonic() - began < 6


def test_a_crashed_worker_is_replaced_and_the_others_serve_on() -> None:
    with stub(workers=2) as server:
        before = workers_of(server)
        with server.connect() as doomed, server.connect() as other:
            answering = get(other)
            doomed.sendall(b"GET /crash HTTP/1.1\r\nhost: x\r\n\r\n")
            with pytest.raises(ConnectionError):
                answer(doomed)
            # A connection that the supervisor passes on before it notices the end is lost with the worker.
            limit = time.monotonic() + 20
            pids = {worker.pid for worker in before}
            while pids <= {worker.pid for worker in workers_of(server)} and time.monotonic() < limit:
                time.sleep(0.01)
            assert get(other) == answering
            for _ in range(5):
                with server.connect() as fresh:
                    get(fresh)
        limit = time.monotonic() + 20
        seen: set[bytes] = set()
        while len(seen) < 2 and time.monotonic() < limit:
            connections = [server.connect() for _ in range(2)]
            seen = {get(connection) for connection in connections}
            for connection in connections:
                connection.close()
            time.sleep(0.05)
        assert len(seen) == 2
        assert {worker.pid for worker in workers_of(server)} != {worker.pid for worker in before}


def answering_pid(server: Stub) -> int:
    with server.connect() as connection:
        return int(get(connection))


def test_a_worker_that_hangs_gets_no_connections_and_is_replaced() -> None:
    with stub(workers=2) as server:
        with server.connect() as held:
            hung = int(get(held))
            os.kill(hung, signal.SIGSTOP)
            time.sleep(QUIET_SECONDS + 1.5)
            # Now every connection is served by the other one, which meanwhile has more of them.
            others = [server.connect() for _ in range(6)]
            assert hung not in {int(get(connection)) for connection in others}
            limit = time.monotonic() + HUNG_SECONDS + 5
            while psutil.pid_exists(hung) and time.monotonic() < limit:
                time.sleep(0.1)
            assert not psutil.pid_exists(hung)
            held.settimeout(1)
            with pytest.raises(ConnectionError):
                answer(held)
            for connection in others:
                get(connection)
                connection.close()
        while len(workers_of(server)) < 2 and time.monotonic() < limit:
            time.sleep(0.05)
        assert len(workers_of(server)) == 2
        server.process.terminate()
        assert server.process.wait(10) == 0
        assert "hangs, killing it" in server.process.communicate()[1]


def test_a_short_pause_of_a_worker_and_one_of_all_processes_replace_nobody() -> None:
    with stub(workers=2) as server:
        before = {worker.pid for worker in workers_of(server)}
        (first, *_) = before
        os.kill(first, signal.SIGSTOP)
        time.sleep(QUIET_SECONDS + 1.5)
        os.kill(first, signal.SIGCONT)
        time.sleep(1.5)
        assert {answering_pid(server) for _ in range(8)} == before
        # As when a machine sleeps.
        os.killpg(server.process.pid, signal.SIGSTOP)
        time.sleep(HUNG_SECONDS + 1)
        os.killpg(server.process.pid, signal.SIGCONT)
        time.sleep(2)
        assert {worker.pid for worker in workers_of(server)} == before


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_finish(workers: int, number: signal.Signals) -> None:
    with stub(workers=workers) as server, server.connect() as busy, server.connect() as idle:
        processes = [psutil.Process(server.process.pid), *workers_of(server)]
        get(idle)
        busy.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.2)
        # As Ctrl-C does: the whole group is told.
        os.killpg(server.process.pid, number)
        status, headers, _ = answer(busy)
        assert (status, headers["connection"]) == (200, "close")
        assert server.process.wait(10) == 0
        assert gone(processes)
        with pytest.raises(ConnectionRefusedError):
            server.connect()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_hanging_request_does_not_hold_up_the_end(workers: int) -> None:
    with stub(workers=workers, shutdown_seconds="1") as server, server.connect() as hanging:
        hanging.sendall(b"GET /hang HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.2)
        began = time.monotonic()
        server.process.terminate()
        server.process.wait(30)
        assert time.monotonic() - began < 20


def test_an_idle_server_ends_at_once() -> None:
    with stub(workers=2) as server, server.connect() as idle:
        get(idle)
        began = time.monotonic()
        server.process.terminate()
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 8


def test_workers_follow_a_killed_supervisor() -> None:
    with stub(workers=2) as server:
        workers = workers_of(server)
        assert len(workers) == 2
        os.kill(server.process.pid, signal.SIGKILL)
        assert gone(workers)


def test_a_worker_that_cannot_start_ends_the_program() -> None:
    process = start(2, {"FAIL_AT_START": "1"})
    process.communicate(timeout=30)
    assert process.returncode == 3


def test_connections_made_during_the_start_are_served() -> None:
    """A burst right after the address is known loses nobody."""
    with stub(workers=2) as server:
        answers: list[bytes] = []

        def ask() -> None:
            with server.connect() as connection:
                answers.append(get(connection))

        threads = [threading.Thread(target=ask) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 40


def test_a_client_that_leaves_at_once_does_no_harm() -> None:
    with stub(workers=1) as server:
        for _ in range(50):
            connection = server.connect()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        with server.connect() as connection:
            get(connection)
