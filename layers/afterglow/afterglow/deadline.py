"""The time by which a request must be answered, where somebody else ends it otherwise: a Lambda function, its gateway.

`time_limit(seconds, clock)` sets it for a block; it is in a context variable, like the collector of `metering`. What
waits for a remote store asks for what is left. Work that has arrived is kept, so the next request goes on from there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from afterglow.errors import Unavailable

_RETRY_SECONDS = 1.0
_CURRENT: ContextVar[tuple[float, Callable[[], float]] | None] = ContextVar("afterglow-deadline", default=None)


@contextmanager
def time_limit(seconds: float, clock: Callable[[], float]) -> Iterator[None]:
    """Give the block so many seconds of the monotonic `clock`."""
    token = _CURRENT.set((clock() + seconds, clock))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def seconds_left(at_most: float) -> float:
    """The seconds that are left, not more than `at_most`. Raises Unavailable if none are."""
    current = _CURRENT.get()
    if current is None:
        return at_most
    deadline, clock = current
    left = deadline - clock()
    if left <= 0:
        raise Unavailable("the data for this request is still being loaded; try again", _RETRY_SECONDS)
    return min(left, at_most)
