"""Notices a child process that hangs while its parent waits for it, and ends it.

A thread of the parent looks every second while a request is in progress (`deployment.child_process`):

1. It sends a ping, which the child's reader of requests answers at once, whatever the child computes.
2. A child that neither answered nor ran since the last look is silent for that time. After `QUIET_SECONDS` of silence
   `on_silence` is called with True, and with False as soon as the child is heard again or has ended.
3. After `HUNG_SECONDS` of silence the child is killed: the request ends with `ChildEnded`.

A child that does not answer but runs (the system counts its processor time and its page faults) computes in native code
that lets no other thread run; it is killed only after `BUSY_SECONDS`. Time in which the parent itself did not run does
not count: after a suspended machine wakes up, no child is blamed for it.
"""

import logging
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

_log = logging.getLogger(__name__)

TURN_SECONDS = 1.0
MAX_TURN_SECONDS = 1.5
"""More than this of one turn was not spent listening."""
QUIET_SECONDS = 5.0
HUNG_SECONDS = 20.0
BUSY_SECONDS = 3_600.0
_PROCESSES = Path("/proc")
"""Where Linux shows its processes; other systems have no such folder."""
_FAULTS_AND_TIMES = slice(7, 13)
"""Page faults and processor times in `/proc/PID/stat`, after the name of the program."""

OnSilence = Callable[[bool], None]
"""Receives True when a child falls silent, and False when it no longer is."""


class Watched(Protocol):
    """The child process, as its watch sees it."""

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def pongs(self) -> int:
        """The number of pings that the child has answered."""

    def is_busy(self) -> bool:
        """Whether the parent waits for the child."""

    def ping(self) -> None:
        """Send a ping, if the child takes it at once."""

    def terminate(self) -> None:
        """Kill the child."""


class HangWatch:
    """The thread that watches one child, until `close`."""

    def __init__(self, child: Watched, name: str, on_silence: OnSilence | None = None) -> None:
        self._child, self._name, self._on_silence = child, name, on_silence
        self._is_quiet = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="afterglow-hang-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._closed.is_set() and self._responds():
                self._closed.wait(TURN_SECONDS)
        finally:
            self._set_quiet(False)

    def _responds(self) -> bool:
        """Watch the child during one request; whether it did not hang."""
        child = self._child
        silent = unanswered = 0.0
        pongs, activity = child.pongs, None
        while child.is_busy():
            child.ping()
            started = time.monotonic()
            if self._closed.wait(TURN_SECONDS):
                return True
            turn = min(time.monotonic() - started, MAX_TURN_SECONDS)
            before, activity = activity, process_activity(child.pid)
            if child.pongs != pongs:
                pongs, silent, unanswered = child.pongs, 0.0, 0.0
            else:
                silent, unanswered = silent + turn if activity == before else 0.0, unanswered + turn
            self._set_quiet(silent >= QUIET_SECONDS)
            if silent >= HUNG_SECONDS or unanswered >= BUSY_SECONDS:
                _log.error("%s (pid %d) hangs and is killed; another one is started", self._name, child.pid)
                child.terminate()
                return False
        self._set_quiet(False)
        return True

    def _set_quiet(self, is_quiet: bool) -> None:
        if is_quiet != self._is_quiet:
            self._is_quiet = is_quiet
            if is_quiet:
                _log.warning("%s (pid %d) does not respond", self._name, self._child.pid)
            if self._on_silence is not None:
                self._on_silence(is_quiet)


def process_activity(pid: int) -> str | None:
    """A text that changes while a process runs; None if there is no such process."""
    if (_PROCESSES / "self").exists():
        with suppress(OSError):
            fields = (_PROCESSES / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            return " ".join(fields[_FAULTS_AND_TIMES])
        return None
    command = ["/bin/ps", "-o", "time=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout or None  # noqa: S603  a number
