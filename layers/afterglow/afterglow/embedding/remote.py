"""Embedding services over HTTP: a request and an answer for each protocol, and one class that does the rest.

::

    openai                POST …/embeddings   {"model", "input", "dimensions"?}   {"data": [{"index", "embedding"}]}
    ollama                POST …/api/embed    {"model", "input"}                  {"embeddings": […]}
    cohere                POST …/v1/embed     {"model", "texts", "input_type"}    {"embeddings": […]}
    huggingface_server    POST the URL        {"inputs"}                          […]

Requests have the form that Chroma's clients send, so vectors of both agree. Every answer is checked: as many vectors as
texts, numbers only, of one dimension.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from afterglow.embedding.embedder import Embedded, Purpose, Vectors
from afterglow.embedding.http_json import JsonClient
from afterglow.errors import Unavailable

_CONCURRENT_REQUESTS = 4


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a service is asked: at most `max_texts` in one request."""

    max_texts: int
    request: Callable[[list[str]], Any]
    vectors: Callable[[Any], Any]
    """The list of vectors in an answer. Raises KeyError, TypeError or ValueError for an answer of another form."""


class RemoteEmbedder:
    """An embedder over one service; `name` is the service's in messages."""

    def __init__(self, name: str, client: JsonClient, protocol: Protocol) -> None:
        self._name = name
        self._client = client
        self._protocol = protocol
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def embed(self, texts: Sequence[str], _purpose: Purpose, deadline: float, /) -> Embedded:
        """The vectors of the texts, by several requests at once if they are many. Raises as the port says."""
        size = self._protocol.max_texts
        slices = [list(texts[start : start + size]) for start in range(0, len(texts), size)]
        if len(slices) == 1:
            results = [self._embed(slices[0], deadline)]
        else:
            futures = [self._threads().submit(self._embed, part, deadline) for part in slices]
            try:
                results = [future.result() for future in futures]
            finally:
                for future in futures:
                    future.cancel()
        if len({vectors.shape[1] for vectors, _ in results}) > 1:
            raise Unavailable(f"{self._name} answered with vectors of different dimensions")
        return Embedded(np.concatenate([vectors for vectors, _ in results]), tokens=sum(used for _, used in results))

    def close(self) -> None:
        """Close threads and connections."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _embed(self, texts: list[str], deadline: float) -> tuple[Vectors, int]:
        answer = self._client.post(self._protocol.request(texts), deadline)
        try:
            with np.errstate(over="ignore"):  # the service of this process refuses infinities
                matrix = np.array(self._protocol.vectors(answer), dtype=np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"{self._name} answered in an unknown form: {error}") from None
        if matrix.ndim != 2 or not matrix.shape[1] or len(matrix) != len(texts):
            shape = "×".join(map(str, matrix.shape))
            raise Unavailable(f"{self._name} answered with vectors of shape {shape} for {len(texts)} texts")
        return matrix, _used_tokens(answer)

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_CONCURRENT_REQUESTS, thread_name_prefix="embedding-requests")
            return self._pool


def openai(model: str, dimensions: int | None) -> Protocol:
    """OpenAI's embeddings, and every service that speaks its protocol."""

    def request(texts: list[str]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": model, "input": texts}
        return body if dimensions is None else {**body, "dimensions": dimensions}

    def vectors(answer: Any) -> list[Any]:
        items = sorted(answer["data"], key=lambda item: int(item["index"]))
        return [item["embedding"] for item in items]

    return Protocol(128, request, vectors)


def ollama(model: str) -> Protocol:
    """A server of Ollama."""
    return Protocol(64, lambda texts: {"model": model, "input": texts}, lambda answer: answer["embeddings"])


def cohere(model: str) -> Protocol:
    """Cohere's API. Queries are embedded as documents are, because Chroma's clients do so."""
    return Protocol(
        96,
        lambda texts: {"model": model, "texts": texts, "input_type": "search_document"},
        lambda answer: answer["embeddings"],
    )


def huggingface_server() -> Protocol:
    """A server of Hugging Face's text-embeddings-inference, which takes 32 texts at once by default."""
    return Protocol(32, lambda texts: {"inputs": texts}, lambda answer: answer)


def _used_tokens(answer: Any) -> int:
    usage = answer.get("usage") if isinstance(answer, dict) else None
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) else 0
