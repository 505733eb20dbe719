"""A local model as an embedder: it runs in a child process, started by the first text.

A process of its own, because tokenising holds the interpreter's lock, the model takes 200 MB that a server without
texts should not pay, and a fault in native code must not end the server.

1. The first call starts the child and waits until the model is loaded (0.3 s).
2. A call sends its texts in slices, sorted by length, two in flight. The child works them off in the order in which
   they arrive, so concurrent calls take turns, and a short one does not wait for the end of a long one.
3. One thread receives replies and gives them to the calls by their numbers.

*The child dies: running calls raise Unavailable, and nothing of theirs was written; the next call starts another.*
*The child hangs: it is ended as soon as it takes no request, or answers no ping, for `PATIENCE_SECONDS`.*
"""

import logging
import threading
from base64 import b64decode
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from afterglow.deployment.child_process import ChildEnded, ChildProcess
from afterglow.embedding.embedder import Embedded, ModelKind, Purpose, Vectors
from afterglow.errors import Unavailable
from afterglow.settings import System

_log = logging.getLogger(__name__)

SLICE = 32
"""Texts of one request to the child: what a call that arrives later waits for, at most twice."""
_IN_FLIGHT = 2
PATIENCE_SECONDS = 20.0
_LOADING_SECONDS = 300.0
_RETRY_LOADING_SECONDS = 60.0
"""What cannot be loaded does not pass by itself."""
_MODULE = "afterglow.embedding.onnx_worker"
_NAMES = {ModelKind.ENCODER: "the embedding model", ModelKind.CROSS_ENCODER: "the reranker"}
_TOO_LATE = {
    ModelKind.ENCODER: (
        "the embedding model did not finish in time (AFTERGLOW_EMBEDDING_TIMEOUT_SECONDS): send fewer texts at once"
    ),
    ModelKind.CROSS_ENCODER: (
        "the reranker did not finish in time (AFTERGLOW_RERANKER_TIMEOUT_SECONDS): lower the limit of $rerank"
    ),
}

Reply = dict[str, Any]


class OnnxProcess:
    """The parent's end of a model's process."""

    def __init__(
        self,
        folder: Path,
        threads: int,
        system: System,
        kind: ModelKind = ModelKind.ENCODER,
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._folder = folder
        self._threads = threads
        self._system = system
        self._kind = kind
        self._patience = patience
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._closed = False

    def embed(self, texts: Sequence[str], purpose: Purpose, deadline: float, *, query: str | None = None) -> Embedded:
        """The vectors of the texts; those of a cross-encoder are their scores for the query. Raises Unavailable."""
        child = self._running_child()
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        slices = [order[start : start + SLICE] for start in range(0, len(order), SLICE)]
        waiting: deque[tuple[list[int], Future[Reply]]] = deque()
        vectors: Vectors | None = None
        truncated = 0
        for indices in [*slices, *([None] * _IN_FLIGHT)]:
            if len(waiting) == _IN_FLIGHT or (indices is None and waiting):
                done, future = waiting.popleft()
                reply = self._wait(future, deadline)
                rows = np.frombuffer(b64decode(reply["vectors"]), dtype="<f4").reshape(reply["rows"], -1)
                if vectors is None:
                    vectors = np.empty((len(texts), rows.shape[1]), dtype=np.float32)
                vectors[done] = rows
                truncated += reply["truncated"]
            if indices is not None:
                waiting.append((indices, child.submit([texts[index] for index in indices], purpose, query)))
        assert vectors is not None, "a call has at least one text"
        return Embedded(vectors, truncated)

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._closed = True
            child, self._child = self._child, None
        if child is not None:
            child.close()

    def _wait(self, future: "Future[Reply]", deadline: float) -> Reply:
        try:
            reply = future.result(max(0.0, deadline - self._system.monotonic()))
        except TimeoutError:
            raise Unavailable(_TOO_LATE[self._kind]) from None
        if "error" in reply:
            raise Unavailable(f"{_NAMES[self._kind]} failed: {reply['error']}")
        return reply

    def _running_child(self) -> "_Child":
        with self._lock:
            if self._closed:
                raise Unavailable("the server is shutting down")
            if self._child is None or not self._child.is_running():
                if self._child is not None:
                    _log.warning("the process of %s has ended; another one is started", _NAMES[self._kind])
                    self._child.close()
                self._child = None
                self._child = _Child(self._folder, self._threads, self._kind, self._patience)
            return self._child


class _Child:
    """One running process, with its model loaded."""

    def __init__(self, folder: Path, threads: int, kind: ModelKind, patience: float) -> None:
        self._name = _NAMES[kind]
        self._process = ChildProcess(_MODULE, str(folder), str(threads), kind, is_watched=False)
        loading = threading.Timer(_LOADING_SECONDS, self._process.terminate)
        loading.start()
        try:
            hello = self._process.receive()
        except ChildEnded as error:
            hello = {"error": str(error), "retry_after": 1.0}  # killed, perhaps: others may load it
        finally:
            loading.cancel()
        if "error" in hello:
            self._process.close()
            message = f"{self._name} in {folder} cannot be loaded: {hello['error']}"
            raise Unavailable(message, hello.get("retry_after", _RETRY_LOADING_SECONDS))
        self._sending = threading.Lock()
        self._numbers = count()
        self._futures: dict[int, Future[Reply]] = {}
        self._ended = False
        self._receiver = threading.Thread(target=self._receive, name="afterglow-embeddings", daemon=True)
        self._receiver.start()
        self._patience = patience
        self._closed = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="afterglow-embeddings-watchdog", daemon=True)
        self._watchdog.start()

    def is_running(self) -> bool:
        return not self._ended and self._process.is_running()

    def submit(self, texts: list[str], purpose: Purpose, query: str | None) -> "Future[Reply]":
        with self._sending:
            return self._send({"purpose": purpose, "texts": texts} | ({} if query is None else {"query": query}))

    def _send(self, request: dict[str, Any]) -> "Future[Reply]":
        """Send a request; the caller has the lock. Raises Unavailable."""
        future: Future[Reply] = Future()
        number = next(self._numbers)
        self._futures[number] = future
        try:
            if self._ended:
                raise ChildEnded("it ended before")
            self._process.send({"id": number} | request)
        except ChildEnded:
            del self._futures[number]
            self._ended = True
            raise Unavailable(f"the process of {self._name} has ended; retry") from None
        return future

    def close(self) -> None:
        self._process.terminate()
        self._closed.set()
        self._receiver.join()
        self._watchdog.join()
        self._process.close()

    def _watch(self) -> None:
        """End a child that hangs while calls wait for it."""
        while not self._closed.wait(self._patience) and not self._ended:
            if self._futures and not self._responds():
                _log.warning("the process of %s hangs; it is ended", self._name)
                self._process.terminate()
                return

    def _responds(self) -> bool:
        """Whether the child takes a ping and answers it in time, or has ended."""
        if not self._sending.acquire(timeout=self._patience):
            return False
        try:
            answer = self._send({})
        except Unavailable:
            return True
        finally:
            self._sending.release()
        return bool(wait([answer], self._patience).done)

    def _receive(self) -> None:
        for reply in self._process.replies():
            self._futures.pop(reply["id"]).set_result(reply)
        with self._sending:
            self._ended = True
            futures, self._futures = self._futures, {}
        for future in futures.values():
            future.set_result({"error": "its process has ended"})
