"""Several serving processes behind one address.

The supervisor accepts every connection and hands it to the worker that has fewest open, so keep-alive connections
spread evenly: four over two workers land two and two, which neither SO_REUSEPORT (a hash of the ports) nor a shared
listening socket (whoever wakes first) does. After that the client and the worker talk directly.

::

    supervisor ──descriptor of a connection──▶ worker        over one socket pair each
               ◀──"+" ready, "-" one closed───

The socket pair is also how each learns of the other's end: a worker whose supervisor was killed reads end-of-file and
stops; the supervisor reads end-of-file of a crashed worker and starts another, after a pause that doubles.
"""

import contextlib
import logging
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
STEADY_SECONDS = 10.0
"""A worker that lived this long is started again without a longer pause."""
ACCEPTED_AT_ONCE = 64
KILL_AFTER_SECONDS = 7.0
"""How much longer than `shutdown_seconds` a worker may take to end."""


@dataclass(slots=True)
class Worker:
    """One worker process, or the place for it between two."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    control: socket.socket | None = None
    ready: bool = False
    connections: int = 0
    handed_last: int = 0
    started_at: float = 0.0
    start_at: float = 0.0
    pause: float = FIRST_PAUSE


class Supervisor:
    """Owns the listening sockets and the workers, each started by `command` and the number of its socket."""

    def __init__(
        self,
        listeners: list[socket.socket],
        command: Sequence[str],
        workers: int,
        *,
        shutdown_seconds: float,
        on_ready: Callable[[], None],
    ) -> None:
        self._listeners = listeners
        self._command = command
        self._shutdown_seconds = shutdown_seconds
        self._on_ready = on_ready
        self._workers = [Worker(number) for number in range(1, workers + 1)]
        self._selector = selectors.DefaultSelector()
        self._listening = False
        self._announced = False
        self._handed = 0
        self._signals: list[int] = []

    def run(self) -> int:
        """Serves until SIGTERM or SIGINT: 0. If a worker cannot even start the first time: its exit code."""
        woken, waker = socket.socketpair()
        for each in (woken, waker):
            each.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda got, _frame: self._signals.append(got))
        self._selector.register(woken, selectors.EVENT_READ, lambda: woken.recv(64))
        code = 0
        try:
            while not self._signals:
                self._start_due()
                self._update_listening()
                for key, _ in self._selector.select(timeout=self._next_start()):
                    key.data()
                failed = self._reap()
                if failed is not None:
                    code = failed
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
        )
        theirs.close()
        worker.control, worker.started_at, worker.ready, worker.connections = ours, now, False, 0
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._read_worker(worker))

    def _read_worker(self, worker: Worker) -> None:
        assert worker.control is not None
        try:
            told = worker.control.recv(4096)
        except BlockingIOError:
            return
        except ConnectionError:
            told = b""
        if not told:
            self._forget(worker)
            return
        worker.ready = (worker.ready or READY in told) and DRAINING not in told
        worker.connections -= told.count(CLOSED)

    def _forget(self, worker: Worker) -> None:
        """Stops handing connections to the worker."""
        if worker.control is not None:
            self._selector.unregister(worker.control)
            worker.control.close()
            worker.control = None
        worker.ready = False

    def _reap(self) -> int | None:
        """Takes note of workers that ended. Returns the exit code if one never got ready at the program's start."""
        now = time.monotonic()
        for worker in self._workers:
            code = worker.process.poll() if worker.process is not None else None
            if code is None:
                if worker.control is None and worker.process is not None:
                    # It has let go of its end but lives: nothing can reach it any more.
                    worker.process.kill()
                continue
            self._forget(worker)
            worker.process = None
            if not self._announced:
                return code if code > 0 else 1
            if now - worker.started_at >= STEADY_SECONDS:
                worker.pause = FIRST_PAUSE
            worker.start_at = now + worker.pause
            log.error("worker %d ended with %d, starting another in %g s", worker.number, code, worker.pause)
            worker.pause = min(worker.pause * 2, LONGEST_PAUSE)
        return None

    def _next_start(self) -> float:
        """Seconds to wait at most: until a worker is due, or a look at whether all live."""
        due = [worker.start_at for worker in self._workers if worker.process is None]
        return max(0.0, min([1.0, *(at - time.monotonic() for at in due)]))

    # Connections

    def _update_listening(self) -> None:
        """Accepts connections while there is a worker to take them; until then they wait in the system's queue."""
        if not self._announced and all(worker.ready for worker in self._workers):
            self._announced = True
            self._on_ready()
        able = self._announced and any(worker.ready for worker in self._workers)
        if able != self._listening:
            self._listening = able
            for listener in self._listeners:
                if able:
                    self._selector.register(listener, selectors.EVENT_READ, lambda sock=listener: self._accept(sock))
                else:
                    self._selector.unregister(listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                log.error("cannot accept a connection: %s", error)
                return
            with connection:
                self._pass_connection(connection)

    def _pass_connection(self, connection: socket.socket) -> None:
        ready = [worker for worker in self._workers if worker.ready]
        for worker in sorted(ready, key=lambda each: (each.connections, each.handed_last)):
            assert worker.control is not None
            try:
                socket.send_fds(worker.control, [b"."], [connection.fileno()])
            except OSError as error:
                log.warning("worker %d does not take connections: %s", worker.number, error)
                continue
            self._handed += 1
            worker.handed_last = self._handed
            worker.connections += 1
            return
        log.error("no worker takes connections, one was dropped")

    # The end

    def _stop(self) -> None:
        """Lets workers finish what is in flight, and kills what takes too long; a second SIGINT kills at once."""
        for listener in self._listeners:
            listener.close()
        running = [worker.process for worker in self._workers if worker.process is not None]
        for process in running:
            process.terminate()
        limit = time.monotonic() + self._shutdown_seconds + KILL_AFTER_SECONDS
        self._signals.clear()
        while (alive := _alive(running)) and time.monotonic() < limit and signal.SIGINT not in self._signals:
            with contextlib.suppress(subprocess.TimeoutExpired):
                alive[0].wait(0.05)
        for process in _alive(running):
            process.kill()
        for process in running:
            process.wait()


def _alive(processes: Iterable[subprocess.Popen[bytes]]) -> list[subprocess.Popen[bytes]]:
    return [process for process in processes if process.poll() is None]


READY = b"+"
"""It can take connections."""
CLOSED = b"-"
"""One of its connections has ended."""
DRAINING = b"!"
"""It takes no more."""
