"""A child that hangs is noticed and ended; one that computes, waits or was suspended with its parent is not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from afterglow.deployment import hang_watch
from afterglow.deployment.child_process import ChildEnded, ChildProcess, ParentConnection

MODULE = "tests.deployment.test_hang_watch"
TURN, QUIET, HUNG = 0.05, 0.3, 1.0
SUSPENDED = """
import sys
from afterglow.deployment import hang_watch
from afterglow.deployment.child_process import ChildProcess
hang_watch.TURN_SECONDS, hang_watch.MAX_TURN_SECONDS, hang_watch.HUNG_SECONDS = 0.05, 0.06, 1.0
child = ChildProcess(sys.argv[1])
child.send({"sleep": 0})
child.receive()
child.send({"sleep": 4})
print(child.pid, flush=True)
print(child.receive(), child.close(), flush=True)
"""


@pytest.fixture
def silences(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    monkeypatch.setattr(hang_watch, "TURN_SECONDS", TURN)
    monkeypatch.setattr(hang_watch, "MAX_TURN_SECONDS", 2 * TURN)  # a machine that stands still is no child's silence
    monkeypatch.setattr(hang_watch, "QUIET_SECONDS", QUIET)
    monkeypatch.setattr(hang_watch, "HUNG_SECONDS", HUNG)
    return []


@pytest.fixture
def child(silences: list[bool]) -> Iterator[ChildProcess]:
    started = ChildProcess(MODULE, on_silence=silences.append)
    started.send({"sleep": 0})
    assert started.receive() == "done"
    yield started
    started.close()


def test_a_stopped_child_is_ended(child: ChildProcess, silences: list[bool]) -> None:
    os.kill(child.pid, signal.SIGSTOP)
    child.send({"sleep": 0})
    with pytest.raises(ChildEnded, match="ended before it replied"):
        child.receive()
    assert child.close() == -signal.SIGKILL
    assert silences == [True, False]


def test_a_child_that_takes_no_request_is_ended(child: ChildProcess, silences: list[bool]) -> None:
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(ChildEnded, match="before it took a request"):
        child.send({"text": "x" * 1_000_000})
    assert silences[0]


def test_a_stopped_child_that_continues_is_heard_again(child: ChildProcess, silences: list[bool]) -> None:
    os.kill(child.pid, signal.SIGSTOP)
    child.send({"sleep": 0.5})
    deadline = time.monotonic() + 30
    while silences != [True]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGCONT)
    assert child.receive() == "done"
    assert child.close() == 0
    assert silences == [True, False]


def test_a_child_that_waits_responds(child: ChildProcess, silences: list[bool]) -> None:
    """As an indexer waits for the lock of another one: it takes no processor time, but answers."""
    child.send({"sleep": 2 * HUNG})
    assert child.receive() == "done"
    assert child.pongs > 2
    assert silences == []


@pytest.mark.slow
def test_a_child_that_computes_without_a_pause_is_left_alone(child: ChildProcess) -> None:
    """Native code may let no other thread run for longer than the time after which a child hangs."""
    before = child.pongs
    started = time.monotonic()
    child.send({"compute": 3 * HUNG})
    assert child.receive() == "done"
    assert time.monotonic() - started > 2 * HUNG
    assert child.pongs - before <= 5, "it answered all the time: the test shows nothing"


def test_a_child_that_computes_for_ever_is_ended(child: ChildProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang_watch, "BUSY_SECONDS", HUNG)
    child.send({"compute": 120})
    with pytest.raises(ChildEnded):
        child.receive()


def test_an_idle_child_is_neither_pinged_nor_ended(child: ChildProcess, silences: list[bool]) -> None:
    before = child.pongs
    os.kill(child.pid, signal.SIGSTOP)
    time.sleep(2 * HUNG)
    os.kill(child.pid, signal.SIGCONT)
    child.send({"sleep": 0})
    assert child.receive() == "done"
    assert child.pongs <= before + 1
    assert silences == []


@pytest.mark.slow
def test_a_child_that_was_suspended_with_its_parent_is_not_blamed() -> None:
    with subprocess.Popen([sys.executable, "-c", SUSPENDED, MODULE], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        processes = [parent.pid, int(parent.stdout.readline())]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        time.sleep(2)
        for process in processes:
            os.kill(process, signal.SIGCONT)
        assert parent.stdout.readline() == "done 0\n"


@pytest.mark.parametrize("processes", ["/proc", "/nowhere"])
def test_activity_changes_while_a_process_runs(processes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on systems that show processes by `ps` only."""
    monkeypatch.setattr(hang_watch, "_PROCESSES", Path(processes))
    before = hang_watch.process_activity(os.getpid())
    end = time.process_time() + 1.1  # some systems count whole seconds
    while time.process_time() < end:
        pass
    assert before != hang_watch.process_activity(os.getpid()) is not None
    assert hang_watch.process_activity(2**22 + 1) is None


def serve() -> None:
    """The child of these tests."""
    connection = ParentConnection()
    while True:
        request = connection.receive()
        time.sleep(request.get("sleep", 0))
        if "compute" in request:
            end = time.process_time() + request["compute"]
            while time.process_time() < end:
                sum(range(100_000_000))  # one native call, during which no other thread runs
        connection.send("done")


if __name__ == "__main__":
    serve()
