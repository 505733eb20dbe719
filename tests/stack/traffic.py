"""A reader and a writer of one collection that go on while something happens to its deployment.

Everything shares this machine, and MiniStack answers nothing while it unpacks layers: a table that does not respond
within a function's six seconds is a stall of the emulator. That request is repeated and counted; no other may fail.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import numpy as np
from chromadb.api.models.Collection import Collection
from chromadb.errors import ChromaError

_SECONDS = 120.0
"""The most that an answer may take."""
_VECTOR = np.ones((1, 8), dtype=np.float32)


class Traffic:
    """Each of the two sends the next request when it has the answer to the last one, by a client of its own."""

    def __init__(self, reading: Collection, writing: Collection) -> None:
        self._prefix = f"new-{uuid4()}"
        self._reading, self._writing = reading, writing
        self._before = reading.count()
        self._ids: list[str] = []
        self._reads = 0
        self._longest = 0.0
        self._stalls = 0
        self._end = threading.Event()
        self._running: list[Future[None]] = []

    def __str__(self) -> str:
        done = f"{self._reads} reads, {len(self._ids)} writes, the longest of {self._longest:.1f} s"
        return f"{done}, {self._stalls} stalls of the emulator"

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Start both."""
        self._running = [pool.submit(self._repeat, request) for request in (self._read, self._write)]

    def wait_for_answers(self) -> None:
        """Return when both have the answer to a request sent after this call, or one failed. Raises TimeoutError."""
        reads, writes, deadline = self._reads, len(self._ids), time.monotonic() + _SECONDS
        while self._reads < reads + 2 or len(self._ids) < writes + 2:
            if any(request.done() for request in self._running):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer: {self}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End both. Raises what a request of theirs raised."""
        self._end.set()
        for request in self._running:
            request.result(_SECONDS)

    def check(self) -> None:
        """What was acknowledged is there, once."""
        found = self._reading.get(ids=self._ids, include=[])["ids"]
        assert sorted(found) == sorted(self._ids)
        # The last write may have stalled, and be stored.
        assert 0 <= self._reading.count() - self._before - len(self._ids) <= min(1, self._stalls)

    def _repeat(self, request: Callable[[], None]) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            try:
                request()
            except ChromaError as error:
                if "did not respond" not in str(error):
                    raise
                self._stalls += 1
            self._longest = max(self._longest, time.monotonic() - began)

    def _read(self) -> None:
        acknowledged = len(self._ids)
        found = self._reading.query(query_embeddings=_VECTOR, n_results=10, include=[])
        assert len(found["ids"][0]) == 10
        count = self._reading.count()
        assert count >= self._before + acknowledged, f"{count} records after {self._before} and {acknowledged} more"
        self._reads += 1

    def _write(self) -> None:
        # A stalled write may be stored, so it is repeated under its id.
        name = f"{self._prefix}-{len(self._ids)}"
        self._writing.upsert(ids=[name], embeddings=_VECTOR)
        self._ids.append(name)


@contextmanager
def traffic(reading: Collection, writing: Collection) -> Iterator[Traffic]:
    """Both for the length of the block, and until each has had an answer after it. Raises what a request raised."""
    running = Traffic(reading, writing)
    with ThreadPoolExecutor(2) as pool:
        running.start(pool)
        try:
            running.wait_for_answers()
            yield running
            running.wait_for_answers()
        finally:
            running.stop()
    print(running)
    running.check()
