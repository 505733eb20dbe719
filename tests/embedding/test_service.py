"""Back pressure: how many texts may wait, and what the others are told."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from afterglow.embedding.embedder import Embedded, Purpose
from afterglow.embedding.function import EmbeddingFunction
from afterglow.embedding.service import EmbeddingService
from afterglow.errors import Busy, TooLarge
from afterglow.settings import Settings, System

FUNCTION = EmbeddingFunction("default")


class HeldEmbedder:
    """An embedder that waits until it is let go."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.go = threading.Event()

    def embed(self, texts: Sequence[str], _purpose: Purpose, _deadline: float, /) -> Embedded:
        self.started.release()
        assert self.go.wait(30)
        return Embedded(np.ones((len(texts), 4), dtype=np.float32))

    def close(self) -> None:
        self.go.set()


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> HeldEmbedder:
    embedder = HeldEmbedder()
    monkeypatch.setattr("afterglow.embedding.local_model.LocalModel", lambda _settings, _system: embedder)
    return embedder


def test_a_full_queue_is_busy_and_an_empty_one_takes_any_number(embedder: HeldEmbedder) -> None:
    service = EmbeddingService(Settings(embedding_max_pending_texts=10), System())
    thread = threading.Thread(target=service.embed_documents, args=(FUNCTION, ["a"] * 50))
    thread.start()
    assert embedder.started.acquire(timeout=30)
    with pytest.raises(Busy, match="50 texts wait for the model, and 1 more are too many") as caught:
        service.embed_documents(FUNCTION, ["b"])
    assert 0 < caught.value.retry_after <= 60
    queries = threading.Thread(target=service.embed_queries, args=(FUNCTION, ["c"]))
    queries.start()
    assert embedder.started.acquire(timeout=30), "queries have a queue of their own"
    embedder.go.set()
    thread.join()
    queries.join()
    assert service.embed_documents(FUNCTION, ["b"]).shape == (1, 4)
    service.close()


def test_a_request_has_no_more_texts_than_a_batch(embedder: HeldEmbedder) -> None:
    service = EmbeddingService(Settings(max_batch_size=3), System())
    with pytest.raises(TooLarge, match="can have 3 texts to embed"):
        service.embed_documents(FUNCTION, ["a"] * 4)
