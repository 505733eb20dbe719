"""Notices that the wall clock was set while this process runs, by comparing it with the monotonic clock.

Nothing waits by the wall clock, and neither durability nor the order of writes depends on it (`log.entry`). But it
dates entries, ends retention and expires records with a TTL, so its owner should know. A machine that was suspended
looks the same, as its monotonic clock stood still.
"""

import logging

from afterglow.settings import System

_log = logging.getLogger(__name__)

_TOLERANCE_SECONDS = 60.0
"""Time servers adjust clocks by less, or slowly."""


class ClockWatch:
    """The difference between the two clocks when they were last compared."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._difference = self._measure()

    def check(self) -> float:
        """The seconds by which the wall clock has jumped since the last check, 0.0 for none; logs a jump once."""
        difference = self._measure()
        jump = difference - self._difference
        self._difference = difference
        if abs(jump) <= _TOLERANCE_SECONDS:
            return 0.0
        _log.warning(
            "the clock of this machine jumped by %+.0f seconds (or the machine was suspended): check its time service; "
            "no write is affected, but retention and the expiry of records go by this clock",
            jump,
        )
        return jump

    def _measure(self) -> float:
        return self._system.now() - self._system.monotonic()
