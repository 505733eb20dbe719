"""Bounded retries: exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015).

An attempt is one execution of the loop's body, the first included. The pause before attempt n + 1 is a random share of
``min(last, first * 2 ** (n - 1))`` seconds. The loop's owner decides what to raise after the last attempt::

    for _ in attempts(system, BACKOFF):
        if try_it():
            return
    raise Busy(…)
"""

from collections.abc import Iterator
from dataclasses import dataclass

from afterglow.settings import System


@dataclass(frozen=True, slots=True)
class Backoff:
    """At most `max_attempts` attempts, with pauses between `first` and `last` seconds before jitter."""

    max_attempts: int
    first: float
    last: float


REREADS = Backoff(max_attempts=10, first=0.0, last=0.0)
"""Read again at once: another process replaced or trimmed between two reads what the first one led to."""


def attempts(system: System, backoff: Backoff) -> Iterator[int]:
    """Yield 1 … `max_attempts`; sleep before each attempt but the first."""
    pause = backoff.first
    for number in range(1, backoff.max_attempts + 1):
        if number > 1:
            system.sleep(pause * system.random.random())
            pause = min(2 * pause, backoff.last)
        yield number


def attempts_for(system: System, seconds: float, first: float, last: float) -> Iterator[int]:
    """Yield 1, 2, … until `seconds` have passed since the first attempt; at least once. Pauses as in `attempts`."""
    deadline = system.monotonic() + seconds
    pause, number = first, 0
    while number == 0 or system.monotonic() < deadline:
        if number:
            system.sleep(pause * system.random.random())
            pause = min(2 * pause, last)
        number += 1
        yield number


_UNIT_SECONDS = (0.0002, 0.02)
_FIRST, _LAST, _LEAST, _PATIENCE = 8.0, 100.0, 2.0, 102.0


def contended_pause(number: int, age: float, unit: float) -> float:
    """Up to how many seconds the loser of a race waits after its attempt `number`, before jitter.

    `age` is the time since its first attempt, `unit` the mean duration of its attempts. The pause doubles with
    each attempt, so that the attempts per round trip stay about the same however many compete; and it shrinks with age,
    so that the oldest come next. In units: 8 at first, 100 at most, 2 at least, which is reached at an age of 102.
    `tests.benchmarks.contention` simulates what this yields.
    """
    unit = min(max(unit, _UNIT_SECONDS[0]), _UNIT_SECONDS[1])
    pause = min(_FIRST * 2.0 ** min(number - 1, 10), _LAST) * (1 - age / (_PATIENCE * unit))
    return unit * max(pause, _LEAST)


def contended_attempts(system: System, max_attempts: int) -> Iterator[int]:
    """Yield 1 … `max_attempts`, for one of many that compete for the same item; pauses as in `contended_pause`."""
    started, paused = system.monotonic(), 0.0
    for number in range(1, max_attempts + 1):
        if number > 1:
            now = system.monotonic()
            unit = (now - started - paused) / (number - 1)
            system.sleep(contended_pause(number - 1, now - started, unit) * system.random.random())
            paused += system.monotonic() - now
        yield number
