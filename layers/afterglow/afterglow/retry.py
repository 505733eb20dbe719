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
