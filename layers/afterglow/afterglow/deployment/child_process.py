"""A child process that serves requests: our interpreter runs a module of ours, messages are lines of JSON.

::

    parent                            child
    ChildProcess(module, …)    →      ParentConnection()
    send(request)              →      receive()             standard input
    receive(), replies()       ←      send(reply)           standard output
    a ping, an empty line      →
                               ←      an empty line         at once, also during a request
    log of the parent          ←      logging               standard error, inherited

1. The parent starts ``python -m MODULE ARGUMENTS`` in a session of its own, so that Ctrl-C in a terminal reaches the
   parent only.
2. Requests and replies are one line each. The modules on both sides agree on how many replies a request has.
3. The child ends at once when its standard input ends, even in the middle of a request: that is when the parent closes
   the connection, and at the latest when the parent dies. *Killed midway: the child's work is cut off like by any
   crash; its locks are free for the next child.*
4. While the parent waits for a reply it pings. *The child hangs: it is killed, as `deployment.hang_watch` defines it.*
"""

import logging
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

import orjson

from afterglow.deployment.hang_watch import HangWatch, OnSilence
from afterglow.settings import child_environment

_NICENESS = 5
_PING = b"\n"
_STOP_SECONDS = 10.0
_SESSION_PRIORITY = Path("/proc/self/autogroup")
_RETRY_PAUSES = (0.0, 0.12, 0.12)
"""Seconds before each attempt to set the priority of a session, which the kernel takes every 0.1 s."""


def lower_priority() -> None:
    """Let other processes go first.

    Where Linux shares the processors among sessions (autogroup), the niceness of a process counts inside its session
    alone. So that of the session is lowered, too, if this process leads it.
    """
    niceness = os.nice(_NICENESS)
    if os.getsid(0) != os.getpid():
        return
    for pause in _RETRY_PAUSES:
        Event().wait(pause)
        try:
            _SESSION_PRIORITY.write_text(str(niceness))
        except BlockingIOError:
            continue
        except OSError:
            pass  # this system has no autogroups, or does not let us
        return


class ChildEnded(ConnectionError):
    """The child process ended before it replied."""


class ChildProcess:
    """The parent's end. One thread sends and receives; any thread may `terminate`."""

    def __init__(
        self, module: str, *arguments: str, on_silence: OnSilence | None = None, is_watched: bool = True
    ) -> None:
        """Start the child; `is_watched` unless the caller notices itself that it hangs. Raises OSError."""
        self._module = module
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._sending = Lock()
        self._is_busy = False
        self._pings = self._pongs = 0
        self._watch = HangWatch(self, f"the process of {module}", on_silence) if is_watched else None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def pongs(self) -> int:
        """The number of pings that the child has answered."""
        return self._pongs

    def is_busy(self) -> bool:
        """Whether the parent waits for a reply."""
        return self._is_busy

    def is_running(self) -> bool:
        """Whether the child has not ended yet."""
        return self._process.poll() is None

    def send(self, request: Any) -> None:
        """Send a JSON value, to which there will be a reply. Raises ChildEnded."""
        self._is_busy = True
        try:
            with self._sending:
                self._input.write(_line(request))
                self._input.flush()
        except BrokenPipeError:
            raise ChildEnded(f"{self._module} ended before it took a request") from None

    def ping(self) -> None:
        """Send a ping, unless one is under way or the child takes no input. The answer is read with the replies."""
        if self._pings == self._pongs and self._sending.acquire(blocking=False):
            try:
                writable = select.poll()
                writable.register(self._input, select.POLLOUT)
                if writable.poll(0):
                    self._pings += 1
                    self._input.write(_PING)
                    self._input.flush()
            except BrokenPipeError:
                pass  # it has ended, as the next reply shows
            finally:
                self._sending.release()

    def receive(self) -> Any:
        """Wait for one reply. Raises ChildEnded."""
        try:
            return next(self.replies())
        except StopIteration:
            raise ChildEnded(f"{self._module} ended before it replied") from None
        finally:
            self._is_busy = False

    def replies(self) -> Iterator[Any]:
        """All further replies, until the child ends."""
        while line := self._output.readline():
            if line == _PING:
                self._pongs += 1
            else:
                yield orjson.loads(line)

    def terminate(self) -> None:
        """Cut the child off, also one that is stopped or hangs. `close` must still be called."""
        self._process.kill()

    def close(self) -> int:
        """Close the connection, which ends the child, and wait for it; its exit code, negative for a signal."""
        if self._watch is not None:
            self._watch.close()
        for pipe in (self._input, self._output):
            with suppress(BrokenPipeError):  # a request that a dead child did not take
                pipe.close()
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class ParentConnection:
    """The child's end, made once at its start: lowers the priority of the process and logs to standard error."""

    def __init__(self, *, exit_code: int = 0) -> None:
        """`exit_code` is that of a child whose standard input ends."""
        logging.basicConfig(
            level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
        )
        lower_priority()
        self._exit_code = exit_code
        self._sending = Lock()
        self._requests: SimpleQueue[bytes] = SimpleQueue()
        Thread(target=self._read, name="afterglow-requests", daemon=True).start()

    def receive(self) -> Any:
        """Wait for the next request. The process ends instead when there is none to come."""
        return orjson.loads(self._requests.get())

    def send(self, reply: Any) -> None:
        """Send a JSON value."""
        self._write(_line(reply))

    def exit(self, code: int) -> None:
        """End the process. An orderly exit would wait for a lock that the reader of standard input holds."""
        os._exit(code)

    def _read(self) -> None:
        try:
            for line in sys.stdin.buffer:
                if line == _PING:
                    self._write(_PING)
                else:
                    self._requests.put(line)
        finally:
            os._exit(self._exit_code)

    def _write(self, line: bytes) -> None:
        with self._sending:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


def _line(message: Any) -> bytes:
    return orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
