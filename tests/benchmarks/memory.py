"""Peak memory of a process tree, sampled from outside. Linux only (PSS); on other systems no figure."""

import contextlib
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

INTERVAL_SECONDS = 0.2


def tree(pid: int) -> Iterator[int]:
    """The process and all its descendants that are alive now."""
    yield pid
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in listing.read_text().split():
                yield from tree(int(child))


def pss_bytes(pid: int) -> int:
    """Proportional set size of the tree now, bytes: each page is divided among the processes that map it."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(OSError, IndexError, ValueError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
                    break
    return total


def _sample(pid: int, connection: Connection) -> None:
    peak = 0
    while not connection.poll(INTERVAL_SECONDS):
        peak = max(peak, pss_bytes(pid))
    connection.send(max(peak, pss_bytes(pid)))


class PeakMemory:
    """Watches a process tree from its construction until `finish`."""

    def __init__(self, pid: int) -> None:
        context = get_context("spawn")
        self._connection, remote = context.Pipe()
        self._process = context.Process(target=_sample, args=(pid, remote), daemon=True)
        self._process.start()

    def finish(self) -> int | None:
        """The peak in bytes; None where the system has no such figure."""
        self._connection.send(None)
        peak: int = self._connection.recv()
        self._process.join()
        return peak or None
