"""The bare client in a process of its own: sends prebuilt requests and tells the seconds each took.

Imports the standard library and the bare client only: the process starts at once and weighs little.
"""

import gc
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from types import TracebackType
from typing import Self

from tests.support.http import BareClient


@dataclass(frozen=True, slots=True)
class Timed:
    """What happened: seconds per request, bodies in the order of the requests, seconds from first to last."""

    seconds: list[float]
    bodies: list[bytes]
    elapsed: float


def _in_order(host: str, port: int, requests: list[bytes], warm: list[bytes]) -> Timed:
    seconds: list[float] = []
    bodies: list[bytes] = []
    with BareClient(host, port, 300) as client:
        for each in warm:
            client.call(each)
        gc.disable()
        began = time.perf_counter()
        for each in requests:
            sent = time.perf_counter()
            answer = client.call(each)
            seconds.append(time.perf_counter() - sent)
            if answer.status >= 300:
                raise RuntimeError(f"status {answer.status}: {answer.body[:300]!r}")
            bodies.append(answer.body)
        elapsed = time.perf_counter() - began
        gc.enable()
    return Timed(seconds, bodies, elapsed)


def _share(client: BareClient, requests: list[bytes], gate: threading.Barrier, failures: list[str]) -> None:
    client.connect()
    gate.wait()
    for each in requests:
        answer = client.call(each)
        if answer.status >= 300:
            failures.append(f"status {answer.status}: {answer.body[:300]!r}")
            return


def _together(host: str, port: int, requests: list[bytes], warm: list[bytes], threads: int) -> float:
    failures: list[str] = []
    gate = threading.Barrier(threads + 1)
    clients = [BareClient(host, port, 300) for _ in range(threads)]
    for client in clients:
        for each in warm:
            client.call(each)
    workers = [
        threading.Thread(target=_share, args=(client, requests[number::threads], gate, failures))
        for number, client in enumerate(clients)
    ]
    for worker in workers:
        worker.start()
    gc.disable()
    gate.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - began
    gc.enable()
    for client in clients:
        client.close()
    if failures:
        raise RuntimeError(failures[0])
    return elapsed


class Bare:
    """The client process."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def in_order(self, host: str, port: int, requests: list[bytes], warm: list[bytes] | None = None) -> Timed:
        """Each request after the answer to the one before, on one connection; `warm` goes first, untimed."""
        return self._pool.submit(_in_order, host, port, requests, warm or []).result()

    def together(self, host: str, port: int, requests: list[bytes], warm: list[bytes], threads: int) -> float:
        """Requests a second, with the requests shared out to `threads` threads of one connection each."""
        return len(requests) / self._pool.submit(_together, host, port, requests, warm, threads).result()
