"""A raw HTTP client in a process of its own: sends prebuilt requests and returns the seconds of each.

Imports only the standard library and the raw client, so that the process starts fast and stays small.
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
    """Timings: seconds per request, bodies in the order of the requests, seconds from first to last."""

    seconds: list[float]
    bodies: list[bytes]
    elapsed: float


def _send_in_order(host: str, port: int, requests: list[bytes], warm: list[bytes]) -> Timed:
    seconds: list[float] = []
    bodies: list[bytes] = []
    with BareClient(host, port, 300) as client:
        for request in warm:
            client.call(request)
        gc.disable()
        started = time.perf_counter()
        for request in requests:
            sent = time.perf_counter()
            response = client.call(request)
            seconds.append(time.perf_counter() - sent)
            if response.status >= 300:
                raise RuntimeError(f"status {response.status}: {response.body[:300]!r}")
            bodies.append(response.body)
        elapsed = time.perf_counter() - started
        gc.enable()
    return Timed(seconds, bodies, elapsed)


def _send(client: BareClient, requests: list[bytes], barrier: threading.Barrier, failures: list[str]) -> None:
    client.connect()
    barrier.wait()
    for request in requests:
        response = client.call(request)
        if response.status >= 300:
            failures.append(f"status {response.status}: {response.body[:300]!r}")
            return


def _send_concurrently(host: str, port: int, requests: list[bytes], warm: list[bytes], threads: int) -> float:
    failures: list[str] = []
    barrier = threading.Barrier(threads + 1)
    clients = [BareClient(host, port, 300) for _ in range(threads)]
    for client in clients:
        for request in warm:
            client.call(request)
    workers = [
        threading.Thread(target=_send, args=(client, requests[number::threads], barrier, failures))
        for number, client in enumerate(clients)
    ]
    for worker in workers:
        worker.start()
    gc.disable()
    barrier.wait()
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - started
    gc.enable()
    for client in clients:
        client.close()
    if failures:
        raise RuntimeError(failures[0])
    return elapsed


class HttpClientProcess:
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
        """Each request after the response to the one before, on one connection; `warm` goes first, untimed."""
        return self._pool.submit(_send_in_order, host, port, requests, warm or []).result()

    def concurrently(self, host: str, port: int, requests: list[bytes], warm: list[bytes], threads: int) -> float:
        """Requests a second, with the requests split over `threads` threads of one connection each."""
        return len(requests) / self._pool.submit(_send_concurrently, host, port, requests, warm, threads).result()
