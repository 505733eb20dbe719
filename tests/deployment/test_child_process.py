"""A child process replies line by line, and ends with its connection, with its parent, or when it is terminated."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from afterglow.deployment.child_process import ChildEnded, ChildProcess, ParentConnection, lower_priority

TIMEOUT_SECONDS = 30.0
AUTOGROUP = Path("/proc/self/autogroup")
MODULE = "tests.deployment.test_child_process"


@pytest.fixture
def child() -> Iterator[ChildProcess]:
    started = ChildProcess(MODULE, "argument")
    yield started
    started.close()


def test_requests_and_replies(child: ChildProcess) -> None:
    for request in ({"name": "ä\n"}, ["argument", None, 1.5], "plain"):
        child.send({"echo": request})
        assert child.receive() == request
    child.send({"arguments": True})
    assert child.receive() == ["argument"]
    assert child.is_running()


def test_several_replies_and_an_exit_code(child: ChildProcess) -> None:
    child.send({"count": 3, "exit": 7})
    assert list(child.replies()) == [0, 1, 2]
    assert child.close() == 7


def test_a_child_runs_at_a_lower_priority_in_its_own_session(child: ChildProcess) -> None:
    child.send({"echo": None})
    child.receive()
    assert psutil.Process(child.pid).nice() > psutil.Process().nice()
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="the kernel has no autogroups")
def test_the_session_of_a_child_has_a_lower_priority(child: ChildProcess) -> None:
    child.send({"echo": None})
    child.receive()
    group = Path(f"/proc/{child.pid}/autogroup").read_text().split()
    assert group[-2:] == ["nice", f"{psutil.Process(child.pid).nice()}"]


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="the kernel has no autogroups")
def test_a_process_without_a_session_of_its_own_lowers_itself_alone() -> None:
    before = AUTOGROUP.read_text()
    program = f"import os; from {lower_priority.__module__} import lower_priority; lower_priority(); print(os.nice(0))"
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(printed) > psutil.Process().nice()
    assert AUTOGROUP.read_text() == before


def test_closing_the_connection_ends_a_busy_child(child: ChildProcess) -> None:
    child.send({"sleep": 600})
    started = time.monotonic()
    assert child.close() == 3, "the exit code for the end of standard input"
    assert time.monotonic() - started < TIMEOUT_SECONDS
    assert not child.is_running()


def test_a_stopped_child_is_cut_off(child: ChildProcess) -> None:
    child.send({"echo": None})
    child.receive()
    os.kill(child.pid, signal.SIGSTOP)
    child.terminate()
    assert list(child.replies()) == []
    assert child.close() == -signal.SIGKILL


def test_an_exited_child_is_reported_on_send_and_on_receive() -> None:
    for _ in range(2):
        child = ChildProcess(MODULE)
        child.send({"sleep": 600})
        child.terminate()
        with pytest.raises(ChildEnded, match=f"{MODULE} ended before it replied"):
            child.receive()
        with pytest.raises(ChildEnded, match="before it took a request"):
            child.send({"echo": "x" * 1_000_000})
        assert child.close() < 0


def test_log_lines_of_the_child_go_to_standard_error_of_the_parent() -> None:
    program = f"""
from afterglow.deployment.child_process import ChildProcess
child = ChildProcess({MODULE!r})
child.send({{"log": "a line", "echo": 1}})
child.receive()
child.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "INFO tests a line" in done.stderr
    assert done.stdout == ""


def test_a_child_ends_with_its_parent() -> None:
    program = f"""
import time
from afterglow.deployment.child_process import ChildProcess
child = ChildProcess({MODULE!r})
child.send({{"echo": 1}})
child.receive()
child.send({{"sleep": 600}})
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        process = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "the child outlives its parent"
            time.sleep(0.02)


def serve() -> None:
    """The child of these tests."""
    import logging

    connection = ParentConnection(exit_code=3)
    while True:
        request = connection.receive()
        if "log" in request:
            logging.getLogger("tests").info(request["log"])
        time.sleep(request.get("sleep", 0))
        for number in range(request.get("count", 0)):
            connection.send(number)
        if "arguments" in request:
            connection.send(sys.argv[1:])
        if "echo" in request:
            connection.send(request["echo"])
        if "exit" in request:
            connection.exit(request["exit"])


if __name__ == "__main__":
    serve()
