"""Several serving processes behind one address.

The supervisor accepts every connection and passes it to the worker with the fewest open connections, so keep-alive
connections spread evenly: of four, two workers get two each. Neither SO_REUSEPORT (a hash of the ports) nor a shared
listening socket (the first process to wake) guarantees this. Then the client and the worker communicate directly.

::

    supervisor ──descriptor of a connection──▶ worker        over one socket pair per worker
               ◀──messages of `ipc`───────────

The socket pair also detects the end of a process: a worker whose supervisor was killed reads end-of-file and stops;
the supervisor reads end-of-file from a crashed worker and starts another, after a pause that doubles.

And it detects a worker that hangs. A ready worker sends `ALIVE` every second, from its event loop:

1. After `QUIET_SECONDS` of silence the worker gets no more connections; one message makes it eligible again.
2. After `HUNG_SECONDS` it is killed and replaced like a crashed one. Its clients see their connections close, and
   connect to another worker.

Time in which the supervisor itself did not run does not count as silence: after both were stopped, a worker is not
blamed for it.
"""

import contextlib
import logging
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from afterglow.server.ipc import CLOSED, DRAINING, READY

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.1
MAX_PAUSE = 5.0
STABLE_SECONDS = 10.0
"""After a run of this length the pause before a worker's restart is the first one again."""
ACCEPT_BATCH = 64
ACCEPT_PAUSE = 0.5
"""Seconds without accepting after it failed, for example because too many files are open."""
QUIET_SECONDS = 3.0
HUNG_SECONDS = 10.0
MAX_TURN_SECONDS = 1.5
"""The longest turn of the loop, which waits for at most one second; a longer one was not spent listening."""
KILL_AFTER_SECONDS = 7.0
"""Time that a worker may take to end in addition to `shutdown_seconds`."""


@dataclass(slots=True)
class Worker:
    """The slot of one worker process, which is None until the next start."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    control: socket.socket | None = None
    ready: bool = False
    silent_seconds: float = 0.0
    connections: int = 0
    last_passed: int = 0
    started_at: float = 0.0
    start_at: float = 0.0
    pause: float = FIRST_PAUSE

    def can_take(self) -> bool:
        """Whether the worker may get a connection."""
        return self.ready and self.silent_seconds < QUIET_SECONDS


class Supervisor:
    """Owns the listening sockets and the workers; a worker's command line is `command` and its socket's descriptor."""

    def __init__(
        self,
        listeners: list[socket.socket],
        command: Sequence[str],
        workers: int,
        *,
        shutdown_seconds: float,
        on_ready: Callable[[], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` is that of the workers, by default this process's own."""
        self._environment = environment
        self._listeners = listeners
        self._command = command
        self._shutdown_seconds = shutdown_seconds
        self._on_ready = on_ready
        self._workers = [Worker(number) for number in range(1, workers + 1)]
        self._selector = selectors.DefaultSelector()
        self._listening = False
        self._announced = False
        self._accept_at = 0.0
        self._passed = 0
        self._signals: list[int] = []

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT.

        Returns 0, or the exit code of a worker that fails before all workers were ready for the first time.
        """
        wakeup_reader, wakeup_writer = socket.socketpair()
        for sock in (wakeup_reader, wakeup_writer):
            sock.setblocking(False)
        signal.set_wakeup_fd(wakeup_writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: self._signals.append(received))
        self._selector.register(wakeup_reader, selectors.EVENT_READ, lambda: wakeup_reader.recv(64))
        code = 0
        try:
            while not self._signals:
                self._start_due()
                self._update_listening()
                began = time.monotonic()
                for key, _ in self._selector.select(timeout=self._next_start()):
                    key.data()
                self._kill_hung(time.monotonic() - began)
                failure = self._reap()
                if failure is not None:
                    code = failure
                    break
        finally:
            self._stop()
        return code

    # Workers

    def _start_due(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.process is None and worker.start_at <= now:
                self._start(worker, now)

    def _start(self, worker: Worker, now: float) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        worker.process = subprocess.Popen(  # noqa: S603 - the command is our own
            [*self._command, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=self._environment,
        )
        theirs.close()
        worker.control, worker.started_at, worker.ready, worker.connections = ours, now, False, 0
        worker.silent_seconds = 0.0
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._read_worker(worker))

    def _read_worker(self, worker: Worker) -> None:
        assert worker.control is not None
        try:
            messages = worker.control.recv(4096)
        except BlockingIOError:
            return
        except ConnectionError:
            messages = b""
        if not messages:
            self._disconnect(worker)
            return
        worker.silent_seconds = 0.0
        worker.ready = (worker.ready or READY in messages) and DRAINING not in messages
        worker.connections -= messages.count(CLOSED)

    def _disconnect(self, worker: Worker) -> None:
        """Stop passing connections to the worker."""
        if worker.control is not None:
            self._selector.unregister(worker.control)
            worker.control.close()
            worker.control = None
        worker.ready = False

    def _kill_hung(self, turn_seconds: float) -> None:
        """Count a turn of the loop as silence of every ready worker, and kill those that are silent for too long.

        A message that arrived in this turn has already set the silence to zero, before the turn is added.
        """
        for worker in self._workers:
            if worker.ready and worker.process is not None:
                worker.silent_seconds += min(turn_seconds, MAX_TURN_SECONDS)
                if worker.silent_seconds >= HUNG_SECONDS:
                    log.error("worker %d (pid %d) hangs, killing it", worker.number, worker.process.pid)
                    self._disconnect(worker)
                    worker.process.kill()

    def _reap(self) -> int | None:
        """Handle workers that ended. Returns the exit code of one that ended before the first readiness of all."""
        now = time.monotonic()
        for worker in self._workers:
            code = worker.process.poll() if worker.process is not None else None
            if code is None:
                if worker.control is None and worker.process is not None:
                    # It closed its end of the socket pair but still runs: it can receive no more connections.
                    worker.process.kill()
                continue
            self._disconnect(worker)
            worker.process = None
            if not self._announced:
                return code if code > 0 else 1
            if now - worker.started_at >= STABLE_SECONDS:
                worker.pause = FIRST_PAUSE
            worker.start_at = now + worker.pause
            log.error("worker %d ended with %d, starting another in %g s", worker.number, code, worker.pause)
            worker.pause = min(worker.pause * 2, MAX_PAUSE)
        return None

    def _next_start(self) -> float:
        """Seconds until the next start of a worker or the end of a pause of accepting, at most one.

        After one second `_reap` and `_kill_hung` check all workers.
        """
        now = time.monotonic()
        times = [worker.start_at for worker in self._workers if worker.process is None]
        if self._accept_at > now:
            times.append(self._accept_at)
        return max(0.0, min([1.0, *(due - now for due in times)]))

    # Connections

    def _update_listening(self) -> None:
        """Accept connections while a worker is ready; otherwise they wait in the kernel's queue."""
        if not self._announced and all(worker.ready for worker in self._workers):
            self._announced = True
            self._on_ready()
        can_accept = (
            self._announced
            and time.monotonic() >= self._accept_at
            and any(worker.can_take() for worker in self._workers)
        )
        if can_accept != self._listening:
            self._listening = can_accept
            for listener in self._listeners:
                if can_accept:
                    self._selector.register(listener, selectors.EVENT_READ, lambda sock=listener: self._accept(sock))
                else:
                    self._selector.unregister(listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                log.error("cannot accept a connection, trying again in %g s: %s", ACCEPT_PAUSE, error)
                self._accept_at = time.monotonic() + ACCEPT_PAUSE
                return
            with connection:
                self._pass_connection(connection)

    def _pass_connection(self, connection: socket.socket) -> None:
        ready = [worker for worker in self._workers if worker.can_take()]
        for worker in sorted(ready, key=lambda candidate: (candidate.connections, candidate.last_passed)):
            assert worker.control is not None
            try:
                socket.send_fds(worker.control, [b"."], [connection.fileno()])
            except OSError as error:
                log.warning("cannot pass a connection to worker %d: %s", worker.number, error)
                continue
            self._passed += 1
            worker.last_passed = self._passed
            worker.connections += 1
            return
        log.error("no worker accepts connections: dropped one")

    # Shutdown

    def _stop(self) -> None:
        """Let workers finish requests in flight, and kill those that take too long; a second SIGINT kills at once."""
        for listener in self._listeners:
            listener.close()
        running = [worker.process for worker in self._workers if worker.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._shutdown_seconds + KILL_AFTER_SECONDS
        self._signals.clear()
        while (alive := _alive(running)) and time.monotonic() < deadline and signal.SIGINT not in self._signals:
            with contextlib.suppress(subprocess.TimeoutExpired):
                alive[0].wait(0.05)
        for process in _alive(running):
            process.kill()
        for process in running:
            process.wait()


def _alive(processes: Iterable[subprocess.Popen[bytes]]) -> list[subprocess.Popen[bytes]]:
    return [process for process in processes if process.poll() is None]
