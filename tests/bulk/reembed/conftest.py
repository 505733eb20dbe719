"""The embedder of the tests, and a collection for it."""

from collections.abc import Iterator

import pytest

from tests.bulk.reembed.environment import (
    Environment,
    HashEmbedder,
    environment,
)


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> HashEmbedder:
    embedder = HashEmbedder()
    monkeypatch.setattr("afterglow.embedding.local_model.LocalModel", lambda _settings, _system: embedder)
    return embedder


@pytest.fixture
def env(embedder: HashEmbedder) -> Iterator[Environment]:
    with environment(embedder) as made:
        yield made
