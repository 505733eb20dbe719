"""The Queue port as one thread of this process: messages are coalesced by group and handled one at a time.

Messages are only in memory. After a crash the next writer, or the recovery at the next start, sends lost ones again; no
data depends on them. The handler may return a number of seconds, after which it is called again for the group.

No exception of the handler ends the thread: the group is handled again after a pause, which doubles up to a minute. An
error is logged again only when it changes.
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
_LASTING_FAILURES = 3


class ThreadQueue:
    """Calls `handler(group, body)` on its own thread after `start`.

    A message waits for `gather_seconds`, so that of many in a row few wake the thread.
    """

    def __init__(self, system: System, gather_seconds: float = 0.0) -> None:
        self._system = system
        self._gather_seconds = gather_seconds
        self._changed = threading.Condition()
        self._due: dict[str, tuple[float, str]] = {}
        self._failures: dict[str, tuple[int, Exception | None]] = {}
        self._closed = False
        self._thread: threading.Thread | None = None

    def send(self, group: str, body: str) -> None:
        """Handle the group soon; replaces a waiting message of the group."""
        self._schedule(group, body, self._system.monotonic() + self._gather_seconds)

    def send_later(self, group: str, body: str, seconds: float) -> None:
        """Handle the group after `seconds`, or sooner if another message arrives."""
        self._schedule(group, body, self._system.monotonic() + seconds)

    def start(self, handler: Handler) -> None:
        """Start the thread, which calls `handler`."""
        self._thread = threading.Thread(target=self._run, args=(handler,), name="afterglow-queue", daemon=True)
        self._thread.start()

    def lasting_failure(self, group: str) -> Exception | None:
        """The error of a group whose last three attempts failed."""
        failures, error = self._failures.get(group, (0, None))
        return error if failures >= _LASTING_FAILURES else None

    def close(self, timeout: float = 30.0) -> None:
        """Stop after the current message; waiting messages are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _schedule(self, group: str, body: str, due: float) -> None:
        with self._changed:
            waiting = self._due.get(group)
            is_sooner = waiting is None or due < waiting[0]
            self._due[group] = (due if waiting is None or is_sooner else waiting[0], body)
            if is_sooner:
                self._changed.notify_all()

    def _run(self, handler: Handler) -> None:
        while (message := self._next()) is not None:
            group, body = message
            try:
                delay = handler(group, body)
                self._failures.pop(group, None)
            except Exception as error:  # noqa: BLE001  the thread outlives every error
                delay = self._on_failure(group, error)
            if delay is not None:
                self._schedule(group, body, self._system.monotonic() + delay)

    def _on_failure(self, group: str, error: Exception) -> float:
        """Count and log a failure; the pause before the next attempt, in seconds."""
        failures, previous = self._failures.get(group, (0, None))
        self._failures[group] = failures + 1, error
        delay: float = min(_FIRST_RETRY_SECONDS * 2.0 ** min(failures, 10), _LAST_RETRY_SECONDS)
        if repr(error) != repr(previous):
            is_expected = isinstance(error, AfterglowError | OSError)
            _log.warning("handling %s failed, retrying in %.0f s: %s", group, delay, error, exc_info=not is_expected)
        return delay

    def _next(self) -> tuple[str, str] | None:
        with self._changed:
            while not self._closed:
                now = self._system.monotonic()
                next_group = min(self._due, key=lambda group: self._due[group][0], default=None)
                if next_group is not None and self._due[next_group][0] <= now:
                    return next_group, self._due.pop(next_group)[1]
                self._changed.wait(None if next_group is None else self._due[next_group][0] - now)
            return None
