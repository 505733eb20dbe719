"""Texts in the embedded clients: collections without an embedding function use that of the engine."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from chromadb.errors import ChromaError

import afterglow
from tests.embedded.matrix import matrix
from tests.support.onnx_files import DIMENSION, pair_score, write_cross_encoder, write_model

pytestmark = pytest.mark.slow

DOCUMENTS = ["a red cat", "the blue fish in the sea", "a desert planet and its spice"]
IDS = ["a", "b", "c"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AFTERGLOW_EMBEDDING_MODEL_DIR", str(write_model(tmp_path / "model")))
    monkeypatch.setenv("AFTERGLOW_RERANKER_MODEL_DIR", str(write_cross_encoder(tmp_path / "reranker")))
    return tmp_path / "data"


def test_documents_and_query_texts(data: Path) -> None:
    with afterglow.PersistentClient(data) as client:
        made = client.create_collection("books", embedding_function=None)
        made.add(ids=IDS, documents=DOCUMENTS)
        assert made.query(query_texts=["fish in the sea", "a desert planet and spice"], n_results=1)["ids"] == [
            ["b"],
            ["c"],
        ]
        made.update(ids=["a"], documents=["a green house"])
        found = made.get(ids=["a"], include=["embeddings", "documents"])
        assert found["embeddings"] is not None
        assert (found["documents"], np.shape(found["embeddings"])) == (["a green house"], (1, DIMENSION))
    with afterglow.PersistentClient(data) as client:
        again = client.get_collection("books", embedding_function=None)
        assert again.query(query_texts=["green house"], n_results=1)["ids"] == [["a"]]
        assert (again.configuration_json["embedding_function"] or {})["name"] == "default"


def test_vectors_of_the_caller_are_not_mixed_with(data: Path) -> None:
    with afterglow.PersistentClient(data) as client:
        made = client.get_or_create_collection("books", embedding_function=None)
        made.add(ids=["a"], embeddings=matrix([1.0, 2.0]))
        with pytest.raises(ChromaError, match="names no embedding function, and its embeddings of dimension 2"):
            made.add(ids=["b"], documents=["a cat"])
        client.delete_collection("books")
        with pytest.raises(ChromaError, match="does not exist"):
            made.query(query_texts=["a cat"])


def test_search_and_rerank(data: Path) -> None:
    with afterglow.PersistentClient(data) as client:
        made = client.create_collection("books", embedding_function=None)
        made.add(ids=IDS, documents=DOCUMENTS)
        query = "the blue sea"
        rank = afterglow.Rerank(query, afterglow.Knn(query=[0.1] * DIMENSION, limit=3), limit=3, default=1.0)
        found = made.search(afterglow.Search().rank(rank * 2.0).select(afterglow.K.SCORE))
        scores = {name: -2 * pair_score(query, text) for name, text in zip(IDS, DOCUMENTS, strict=True)}
        assert found["ids"][0] == sorted(IDS, key=lambda name: scores[name])
        assert found["scores"] is not None
        np.testing.assert_allclose(np.array(found["scores"][0]), sorted(scores.values()), atol=1e-3)


def test_the_asynchronous_client(data: Path) -> None:
    async def run() -> None:
        async with afterglow.AsyncPersistentClient(data) as client:
            made = await client.create_collection("books", embedding_function=None)
            await made.add(ids=IDS, documents=DOCUMENTS)
            found = await made.query(query_texts=["fish in the sea"], n_results=1)
            assert found["ids"] == [["b"]]

    asyncio.run(run())
