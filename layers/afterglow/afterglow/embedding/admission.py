"""Admission: how many texts may wait for a model, and when those that may not should come again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from afterglow.errors import Busy
from afterglow.settings import System

_INITIAL_RATE = 50.0
"""Texts a second, until there is a measurement."""


class AdmissionQueue:
    """The texts of one purpose that wait or are being worked on, and how fast they are done.

    `advice` ends the message of a refusal.
    """

    def __init__(self, limit: int, system: System, advice: str) -> None:
        self._limit = limit
        self._advice = advice
        self._system = system
        self._lock = threading.Lock()
        self._pending = 0
        self._rate = _INITIAL_RATE

    @contextmanager
    def admit(self, texts: int) -> Iterator[None]:
        """Hold a place for the texts. An empty queue takes any number. Raises Busy."""
        with self._lock:
            if self._pending and self._pending + texts > self._limit:
                raise Busy(
                    f"{self._pending} texts wait for the model, and {texts} more are too many{self._advice}",
                    retry_after=min(self._pending / self._rate, 60.0),
                )
            self._pending += texts
        start = self._system.monotonic()
        try:
            yield
        finally:
            seconds = self._system.monotonic() - start
            with self._lock:
                # The queue does all that waits in about the time that one call took.
                self._rate += 0.3 * (self._pending / max(seconds, 1e-3) - self._rate)
                self._pending -= texts
