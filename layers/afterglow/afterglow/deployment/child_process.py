"""A child process that serves requests: our interpreter runs a module of ours, messages are lines of JSON.

::

    parent                            child
    ChildProcess(module, …)    →      ParentConnection()
    send(request)              →      receive()             standard input
    receive(), replies()       ←      send(reply)           standard output
    log of the parent          ←      logging               standard error, inherited

1. The parent starts ``python -m MODULE ARGUMENTS`` in a session of its own, so that Ctrl-C in a terminal reaches the
   parent only.
2. Requests and replies are one line each. The modules on both sides agree on how many replies a request has.
3. The child ends at once when its standard input ends, even in the middle of a request: that is when the parent closes
   the connection, and at the latest when the parent dies. *Killed midway: the child's work is cut off like by any
   crash; its locks are free for the next child.*
"""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

import orjson

from afterglow.settings import child_environment

_NICENESS = 5
_STOP_SECONDS = 10.0


class ChildEnded(ConnectionError):
    """The child process ended before it replied."""


class ChildProcess:
    """The parent's end. One thread sends and receives; any thread may `terminate`."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Start the child. Raises OSError."""
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

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def is_running(self) -> bool:
        """Whether the child has not ended yet."""
        return self._process.poll() is None

    def send(self, request: Any) -> None:
        """Send a JSON value. Raises ChildEnded."""
        try:
            self._input.write(_line(request))
            self._input.flush()
        except BrokenPipeError:
            raise ChildEnded(f"{self._module} ended before it took a request") from None

    def receive(self) -> Any:
        """Wait for one reply. Raises ChildEnded."""
        line = self._output.readline()
        if not line:
            raise ChildEnded(f"{self._module} ended before it replied")
        return orjson.loads(line)

    def replies(self) -> Iterator[Any]:
        """All further replies, until the child ends."""
        for line in self._output:
            yield orjson.loads(line)

    def terminate(self) -> None:
        """Cut the child off, also one that is stopped or hangs. `close` must still be called."""
        self._process.kill()

    def close(self) -> int:
        """Close the connection, which ends the child, and wait for it; its exit code, negative for a signal."""
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
        os.nice(_NICENESS)
        self._exit_code = exit_code
        self._requests: SimpleQueue[bytes] = SimpleQueue()
        Thread(target=self._read, name="afterglow-requests", daemon=True).start()

    def receive(self) -> Any:
        """Wait for the next request. The process ends instead when there is none to come."""
        return orjson.loads(self._requests.get())

    def send(self, reply: Any) -> None:
        """Send a JSON value."""
        sys.stdout.buffer.write(_line(reply))
        sys.stdout.buffer.flush()

    def exit(self, code: int) -> None:
        """End the process. An orderly exit would wait for a lock that the reader of standard input holds."""
        os._exit(code)

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            self._requests.put(line)
        os._exit(self._exit_code)


def _line(message: Any) -> bytes:
    return orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
