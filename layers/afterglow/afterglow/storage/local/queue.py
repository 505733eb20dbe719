"""The Queue port as one thread of this process: nudges by group, coalesced, worked on one at a time.

Messages live in memory only. What a crash loses is sent again by the next writer or by the sweep of the next start;
no data rests here. The handler may answer with seconds, to be called again for the group then.
"""

import logging
import threading
from collections.abc import Callable

from afterglow.errors import AfterglowError
from afterglow.settings import System

_log = logging.getLogger(__name__)

Handler = Callable[[str, str], float | None]
_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 60.0


class ThreadQueue:
    """Calls `handler(group, body)` on a thread of its own once `start` was called."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._changed = threading.Condition()
        self._due: dict[str, tuple[float, str]] = {}
        self._failures: dict[str, int] = {}
        self._closed = False
        self._thread: threading.Thread | None = None

    def send(self, group: str, body: str) -> None:
        """Have the group worked on soon; a nudge already waiting is merged with this one."""
        self._schedule(group, body, self._system.now())

    def send_later(self, group: str, body: str, seconds: float) -> None:
        """Have the group worked on in a while, unless a nudge makes it sooner."""
        self._schedule(group, body, self._system.now() + seconds)

    def start(self, handler: Handler) -> None:
        """Begin to work, with `handler`."""
        self._thread = threading.Thread(target=self._run, args=(handler,), name="afterglow-queue", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 30.0) -> None:
        """Stop after the message in hand; what waits is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _schedule(self, group: str, body: str, due: float) -> None:
        with self._changed:
            waiting = self._due.get(group)
            self._due[group] = (due if waiting is None else min(due, waiting[0]), body)
            self._changed.notify_all()

    def _run(self, handler: Handler) -> None:
        while (message := self._next()) is not None:
            group, body = message
            try:
                again = handler(group, body)
                self._failures.pop(group, None)
            except (AfterglowError, OSError) as error:
                failures = self._failures[group] = self._failures.get(group, 0) + 1
                again = min(_FIRST_RETRY_SECONDS * 2 ** (failures - 1), _LAST_RETRY_SECONDS)
                _log.warning("work on %s failed, again in %.0f s: %s", group, again, error)
            if again is not None:
                self._schedule(group, body, self._system.now() + again)

    def _next(self) -> tuple[str, str] | None:
        with self._changed:
            while not self._closed:
                now = self._system.now()
                soonest = min(self._due, key=lambda group: self._due[group][0], default=None)
                if soonest is not None and self._due[soonest][0] <= now:
                    return soonest, self._due.pop(soonest)[1]
                self._changed.wait(None if soonest is None else self._due[soonest][0] - now)
            return None
