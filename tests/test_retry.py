"""Retries are bounded, back off, and never pause after the last attempt."""

from random import Random

from afterglow.retry import Backoff, attempts, attempts_for, contended_attempts, contended_pause
from afterglow.settings import System
from tests.benchmarks.contention import simulate


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


def test_the_older_a_writer_the_shorter_its_pause() -> None:
    pauses = [contended_pause(5, age, 0.01) for age in (0.0, 0.25, 0.5, 0.75, 1.02, 10.0)]
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[-1] == 2 * 0.01


def test_pauses_follow_the_time_of_an_attempt_within_bounds() -> None:
    assert contended_pause(1, 0.0, 0.005) == 8 * 0.005
    assert contended_pause(1, 0.0, 0.0) == 8 * 0.0002
    assert contended_pause(1, 0.0, 60.0) == 8 * 0.02


def test_contended_attempts_are_bounded_and_pause_between_two_only() -> None:
    clock = Clock()
    numbers = []
    for number in contended_attempts(system_of(clock), 4):
        numbers.append(number)
        clock.seconds += 0.01
    assert numbers == [1, 2, 3, 4]
    assert len(clock.pauses) == 3
    assert all(0 <= pause <= 100 * 0.01 for pause in clock.pauses)


def test_64_writers_of_one_log_pay_at_most_four_refused_puts_and_wait_at_most_a_second_and_a_half() -> None:
    result = simulate(64)
    assert result.refused <= 4
    assert result.p99 <= 1.5
    assert result.appends_per_second >= 100


def test_while_the_store_is_slow_refused_puts_stay_bounded() -> None:
    result = simulate(64, seconds=200.0, slowness=10.0)
    assert 14 <= result.refused <= 15.5  # docs/aws.md has it
