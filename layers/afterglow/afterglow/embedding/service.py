"""The embedding service of a process: texts to vectors by any function that the operator allows.

One call:

1. Find the embedder of the function; it is made once, and starts what it needs with its first text.
2. Take recent query texts from the cache.
3. Admission: a call waits in the queue of its purpose if that is empty or short enough, else it gets 429 with the
   time after which the queue is likely to be empty.
4. Embed, until the deadline at most; check the answer's shape and numbers; count it in the usage of the request.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from afterglow.embedding.admission import AdmissionQueue
from afterglow.embedding.embedder import Embedded, Embedder, Purpose, Vectors
from afterglow.embedding.function import EmbeddingFunction
from afterglow.embedding.registry import Registry, shared_key
from afterglow.embedding.reranker import Reranker
from afterglow.errors import TooLarge, Unavailable
from afterglow.metering import current_usage, phase
from afterglow.records.embeddings import finite_rows
from afterglow.settings import Settings, System

_MAX_PENDING_QUERIES = 256
_MAX_CACHED_CHARACTERS = 1_000


class EmbeddingService:
    """Safe for any number of threads. Raises InvalidArgument for invalid settings."""

    def __init__(self, settings: Settings, system: System) -> None:
        self._registry = Registry(settings, system)
        self._max_texts = settings.max_batch_size
        self._seconds = settings.embedding_timeout_seconds
        self._system = system
        self.reranker = Reranker(settings, system)
        self._cache = _QueryCache(settings.embedding_query_cache)
        self._queues = {
            Purpose.QUERY: AdmissionQueue(_MAX_PENDING_QUERIES, system, ": retry later"),
            Purpose.DOCUMENT: AdmissionQueue(
                settings.embedding_max_pending_texts, system, " (AFTERGLOW_EMBEDDING_MAX_PENDING_TEXTS): retry later"
            ),
        }
        self._lock = threading.Lock()
        self._embedders: dict[EmbeddingFunction, Embedder] = {}

    @property
    def default(self) -> EmbeddingFunction | None:
        """The function for collections that name none, None if there is none."""
        return self._registry.default

    def runs(self, function: EmbeddingFunction) -> bool:
        """Whether the operator allows the function."""
        return self._registry.runs(function)

    def describe(self) -> str:
        """The functions that the server runs, for messages."""
        return self._registry.describe()

    def embed_documents(self, function: EmbeddingFunction, texts: Sequence[str]) -> Vectors:
        """The vectors of documents, float32 (n, dimension). Raises InvalidArgument, Busy, Unavailable."""
        return self._embed(function, texts, Purpose.DOCUMENT)

    def embed_queries(self, function: EmbeddingFunction, texts: Sequence[str]) -> Vectors:
        """The vectors of at least one query, float32 (n, dimension). Raises InvalidArgument, Busy, Unavailable."""
        function_key = shared_key(function)
        rows = [self._cache.get(function_key, text) for text in texts]
        missing = list(dict.fromkeys(text for text, row in zip(texts, rows, strict=True) if row is None))
        if missing:
            vectors = self._embed(function, missing, Purpose.QUERY)
            found = dict(zip(missing, vectors, strict=True))
            self._cache.put(function_key, found)
            rows = [found[text] if row is None else row for text, row in zip(texts, rows, strict=True)]
        return np.stack([row for row in rows if row is not None])

    def close(self) -> None:
        """End processes and connections; later calls raise Unavailable or start them again."""
        with self._lock:
            embedders, self._embedders = self._embedders, {}
        for embedder in embedders.values():
            embedder.close()
        self.reranker.close()

    def _embed(self, function: EmbeddingFunction, texts: Sequence[str], purpose: Purpose) -> Vectors:
        if len(texts) > self._max_texts:
            raise TooLarge(
                f"a request can have {self._max_texts} texts to embed (AFTERGLOW_MAX_BATCH_SIZE), got {len(texts)}"
            )
        embedder = self._embedder(function)
        deadline = self._system.monotonic() + self._seconds
        with self._queues[purpose].admit(len(texts)), phase("embed"):
            embedded = embedder.embed(texts, purpose, deadline)
        if len(embedded.vectors) != len(texts) or not finite_rows(embedded.vectors).all():
            raise Unavailable(f"the embedding function {function.name} returned an invalid vector")
        _count(function, len(texts), embedded)
        return embedded.vectors

    def _embedder(self, function: EmbeddingFunction) -> Embedder:
        # First, as the two names of the local model share an embedder, but not their permission.
        key = shared_key(function)
        with self._lock:
            if key not in self._embedders or not self._registry.runs(function):
                self._embedders[key] = self._registry.make(function)
            return self._embedders[key]


def _count(function: EmbeddingFunction, texts: int, embedded: Embedded) -> None:
    usage = current_usage()
    if usage is not None:
        usage.count(f"embedding.{function.name}", texts)
        if embedded.truncated:
            usage.count("embedding.truncated", embedded.truncated)
        if embedded.tokens:
            usage.count("embedding.tokens", embedded.tokens)


class _QueryCache:
    """The vectors of the `size` query texts used last (LRU)."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._vectors: OrderedDict[tuple[EmbeddingFunction, str], Vectors] = OrderedDict()

    def get(self, function: EmbeddingFunction, text: str) -> Vectors | None:
        """The vector of a text, None if it is not cached."""
        with self._lock:
            vector = self._vectors.get((function, text))
            if vector is not None:
                self._vectors.move_to_end((function, text))
            return vector

    def put(self, function: EmbeddingFunction, vectors: dict[str, Vectors]) -> None:
        """Cache vectors of texts that are not very long."""
        with self._lock:
            for text, vector in vectors.items():
                if len(text) <= _MAX_CACHED_CHARACTERS:
                    self._vectors[function, text] = vector
            while len(self._vectors) > self._size:
                self._vectors.popitem(last=False)
