"""Retries are bounded, back off, and never pause after the last attempt."""

from random import Random

from afterglow.retry import Backoff, attempts, attempts_for
from afterglow.settings import System


class Clock:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


def system_of(clock: Clock) -> System:
    return System(monotonic=lambda: clock.seconds, sleep=clock.sleep, random=Random(1))


def test_the_first_attempt_comes_at_once_and_no_pause_follows_the_last() -> None:
    clock = Clock()
    assert list(attempts(system_of(clock), Backoff(4, 0.1, 1.0))) == [1, 2, 3, 4]
    assert len(clock.pauses) == 3


def test_pauses_are_bounded_by_the_doubling_ceiling() -> None:
    clock = Clock()
    list(attempts(system_of(clock), Backoff(6, 0.1, 0.3)))
    for pause, ceiling in zip(clock.pauses, [0.1, 0.2, 0.3, 0.3, 0.3], strict=True):
        assert 0 <= pause <= ceiling


def test_a_loop_left_early_does_not_pause() -> None:
    clock = Clock()
    for _ in attempts(system_of(clock), Backoff(4, 0.1, 1.0)):
        break
    assert clock.pauses == []


def test_attempts_for_ends_with_the_time_and_runs_at_least_once() -> None:
    clock = Clock()
    assert list(attempts_for(system_of(clock), 0.0, 0.1, 1.0)) == [1]
    clock = Clock()
    numbers = list(attempts_for(system_of(clock), 5.0, 0.5, 1.0))
    assert numbers == list(range(1, len(numbers) + 1))
    assert 5.0 <= clock.seconds < 6.0
