"""The thread's queue beyond its port: coalescing, waiting, giving up politely."""

import threading
import time
from collections.abc import Callable

from afterglow.settings import System
from afterglow.storage.local.queue import ThreadQueue

PATIENCE_SECONDS = 20.0


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_messages_of_one_group_are_coalesced() -> None:
    seen: list[tuple[str, str]] = []
    queue = ThreadQueue(System())
    for number in range(100):
        queue.send(f"group {number % 2}", f"{number}")
    queue.start(lambda group, body: seen.append((group, body)))
    wait_until(lambda: len(seen) == 2)
    queue.close()
    assert sorted(seen) == [("group 0", "98"), ("group 1", "99")]


def test_messages_are_gathered() -> None:
    seen: list[tuple[str, float]] = []
    queue = ThreadQueue(System(), gather_seconds=0.2)
    queue.start(lambda _, body: seen.append((body, time.monotonic())))
    queue.send_later("group", "later", 1_000)
    started = time.monotonic()
    for number in range(50):
        queue.send("group", str(number))
    wait_until(lambda: bool(seen))
    queue.send("group", "next")
    wait_until(lambda: len(seen) == 2)
    queue.close()
    assert [body for body, _ in seen] == ["49", "next"]
    assert seen[0][1] - started >= 0.195
    assert seen[1][1] - seen[0][1] >= 0.195


def test_a_handler_may_ask_to_be_called_again() -> None:
    seen: list[float] = []

    def handle(group: str, body: str) -> float | None:
        seen.append(time.monotonic())
        return 0.05 if len(seen) < 3 else None

    queue = ThreadQueue(System())
    queue.start(handle)
    queue.send("group", "")
    wait_until(lambda: len(seen) == 3)
    queue.close()
    assert seen[1] - seen[0] >= 0.045
    assert seen[2] - seen[1] >= 0.045


def test_a_delayed_message_waits_unless_another_makes_it_sooner() -> None:
    seen: list[str] = []
    queue = ThreadQueue(System())
    queue.start(lambda group, body: seen.append(body))
    queue.send_later("group", "later", 1_000)
    queue.send("other", "now")
    wait_until(lambda: seen == ["now"])
    queue.send("group", "sooner")
    wait_until(lambda: seen == ["now", "sooner"])
    queue.close()


def test_a_message_is_not_delayed_by_a_later_one() -> None:
    seen: list[str] = []
    queue = ThreadQueue(System())
    queue.send("group", "now")
    queue.send_later("group", "later", 1_000)
    queue.start(lambda group, body: seen.append(body))
    wait_until(lambda: len(seen) == 1)
    queue.close()


def test_closing_waits_for_the_message_in_hand_and_drops_the_rest() -> None:
    begun, go_on = threading.Event(), threading.Event()
    seen: list[str] = []

    def handle(group: str, body: str) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)
        seen.append(body)

    queue = ThreadQueue(System())
    queue.start(handle)
    queue.send("one", "in hand")
    assert begun.wait(PATIENCE_SECONDS)
    queue.send("two", "waiting")
    threading.Timer(0.05, go_on.set).start()
    queue.close()
    assert seen == ["in hand"]


def test_closing_a_queue_that_was_never_started_is_no_error() -> None:
    queue = ThreadQueue(System())
    queue.send("group", "")
    queue.close()


def test_a_failure_lasts_when_the_last_three_attempts_failed() -> None:
    queue = ThreadQueue(System(sleep=lambda _: None))
    attempts: list[Exception | None] = [OSError(28, "full"), OSError(28, "full"), OSError(28, "full"), None]
    seen: list[Exception | None] = []

    def handle(group: str, body: str) -> None:
        seen.append(queue.lasting_failure("group"))
        error = attempts.pop(0)
        if error is not None:
            queue.send("group", "")  # at once, not after the pause
            raise error

    queue.start(handle)
    queue.send("group", "")
    wait_until(lambda: len(seen) == 4)
    queue.close()
    assert seen[:3] == [None, None, None]
    assert str(seen[3]) == "[Errno 28] full"
    assert queue.lasting_failure("group") is None
