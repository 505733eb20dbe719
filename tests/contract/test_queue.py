"""The contract of the Queue port: at least once, in order within a group."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afterglow.errors import Unavailable
from tests.contract.adapters import QUEUES, QueueAdapter, params

PATIENCE_SECONDS = 20.0


@pytest.fixture(params=params(QUEUES))
def adapter(request: pytest.FixtureRequest) -> Iterator[QueueAdapter]:
    found: QueueAdapter = request.param
    with found.backend.entered(request):
        yield found


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < deadline, "the queue did not deliver in time"
        time.sleep(0.005)


def test_the_last_message_of_every_group_arrives(adapter: QueueAdapter, folder: Path) -> None:
    seen: list[tuple[str, str]] = []
    with adapter.open(folder, lambda group, body: seen.append((group, body))) as queue:
        for number in range(20):
            queue.send(f"group {number % 3}", f"{number:02}")
        wait_until(lambda: {("group 0", "18"), ("group 1", "19"), ("group 2", "17")} <= set(seen))


def test_messages_of_a_group_arrive_in_order(adapter: QueueAdapter, folder: Path) -> None:
    seen: list[str] = []
    with adapter.open(folder, lambda group, body: seen.append(body)) as queue:
        for number in range(50):
            queue.send("group", f"{number:02}")
        wait_until(lambda: seen[-1:] == ["49"])
    assert seen == sorted(seen)


def test_work_that_failed_is_asked_for_again(adapter: QueueAdapter, folder: Path) -> None:
    seen: list[str] = []

    def handle(group: str, body: str) -> None:
        seen.append(body)
        if len(seen) < 2:
            raise Unavailable("not yet")

    with adapter.open(folder, handle) as queue:
        queue.send("group", "body")
        wait_until(lambda: len(seen) >= 2)
    assert set(seen) == {"body"}


def test_a_failing_group_does_not_hold_up_others(adapter: QueueAdapter, folder: Path) -> None:
    seen: list[str] = []

    def handle(group: str, body: str) -> None:
        if group == "bad":
            raise Unavailable("never")
        seen.append(body)

    with adapter.open(folder, handle) as queue:
        queue.send("bad", "x")
        queue.send("good", "y")
        wait_until(lambda: seen == ["y"])


def test_a_message_sent_while_its_group_is_worked_on_is_not_lost(adapter: QueueAdapter, folder: Path) -> None:
    seen: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def handle(group: str, body: str) -> None:
        seen.append(body)
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)

    with adapter.open(folder, handle) as queue:
        queue.send("group", "first")
        assert begun.wait(PATIENCE_SECONDS)
        queue.send("group", "second")
        go_on.set()
        wait_until(lambda: seen[-1:] == ["second"])
