"""Texts over HTTP: every operation that takes one, what is refused, and what a client reads afterwards."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import chromadb
import httpx
import numpy as np
import pytest
from chromadb.api import ClientAPI
from chromadb.utils.embedding_functions import HuggingFaceEmbeddingServer

from afterglow.api.app import create_app
from afterglow.deployment.local import open_local
from afterglow.embedding.onnx_model import OnnxModel
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System
from tests.support.onnx_files import DIMENSION
from tests.wire.asgi_server import serve_app
from tests.wire.clients import ApiClient, CollectionClient
from tests.wire.conftest import AGENT

DEFAULT = {"type": "known", "name": "default", "config": {}}
TEXTS = ["a red cat", "the blue fish in the sea", "a desert planet and its spice"]
_names = count()


@pytest.fixture
def collection(text_client: ApiClient) -> CollectionClient:
    return text_client.collection(configuration={"embedding_function": DEFAULT})


@pytest.fixture(scope="module")
def model(model_folder: Path) -> OnnxModel:
    return OnnxModel(model_folder, 1)


def vectors(collection: CollectionClient) -> dict[str, np.ndarray]:
    found = collection.records("embeddings")
    return {name: np.array(vector) for name, vector in zip(found["ids"], found["embeddings"], strict=True)}


def refusal(response: httpx.Response, status: int = 400) -> str:
    assert response.status_code == status, response.text
    return str(response.json()["message"])


@pytest.mark.parametrize("operation", ["add", "upsert"])
def test_documents_are_embedded(collection: CollectionClient, model: OnnxModel, operation: str) -> None:
    response = collection.post(operation, ids=["a", "b", "c"], documents=TEXTS)
    assert response.is_success, response.text
    stored = vectors(collection)
    for name, vector in zip("abc", model.embed(TEXTS).vectors, strict=True):
        np.testing.assert_allclose(stored[name], vector, atol=1e-6)
    assert collection.now()["dimension"] == DIMENSION


def test_only_what_lacks_an_embedding_is_embedded(collection: CollectionClient, model: OnnxModel) -> None:
    own = [1.0] + [0.0] * (DIMENSION - 1)
    collection.add(ids=["a", "b", "c"], embeddings=[None, own, None], documents=[TEXTS[0], TEXTS[1], TEXTS[2]])
    stored = vectors(collection)
    np.testing.assert_array_equal(stored["b"], own)
    np.testing.assert_allclose(stored["c"], model.embed([TEXTS[2]]).vectors[0], atol=1e-6)


def test_an_updated_document_is_embedded_anew(collection: CollectionClient, model: OnnxModel) -> None:
    collection.add(ids=["a", "b"], documents=TEXTS[:2])
    assert collection.post("update", ids=["a", "b"], documents=[TEXTS[2], None], uris=[None, "x"]).status_code == 200
    stored = vectors(collection)
    np.testing.assert_allclose(stored["a"], model.embed([TEXTS[2]]).vectors[0], atol=1e-6)
    np.testing.assert_allclose(stored["b"], model.embed([TEXTS[1]]).vectors[0], atol=1e-6)


def test_queries_are_texts(collection: CollectionClient) -> None:
    collection.add(ids=["a", "b", "c"], documents=TEXTS)
    for _ in range(2):  # the second time from the cache
        response = collection.post("query", query_texts=["a desert planet and spice", "red cat"], n_results=1)
        assert response.status_code == 200, response.text
        assert response.json()["ids"] == [["c"], ["a"]]


def test_searches_have_texts(collection: CollectionClient) -> None:
    collection.add(ids=["a", "b", "c"], documents=TEXTS)
    rank = {"$sum": [{"$knn": {"query": "the sea", "limit": 2}}, {"$val": 1}]}
    response = collection.post("search", searches=[{"rank": rank}, {"rank": {"$knn": {"query": "red cat"}}}])
    assert response.status_code == 200, response.text
    assert [ids[0] for ids in response.json()["ids"]] == ["b", "a"]


def test_v1_takes_texts(text_client: ApiClient) -> None:
    name = f"v1-{next(_names)}"
    created = text_client.request("POST", "/api/v1/collections", {"name": name}).json()
    path = f"/api/v1/collections/{created['id']}"
    assert text_client.request("POST", f"{path}/add", {"ids": ["a", "b"], "documents": TEXTS[:2]}).status_code == 201
    response = text_client.request("POST", f"{path}/query", {"query_texts": ["fish in the sea"], "n_results": 1})
    assert response.json()["ids"] == [["b"]]


def test_a_collection_without_a_function_adopts_the_servers(text_client: ApiClient) -> None:
    collection = text_client.collection()
    assert collection.now()["configuration_json"]["embedding_function"] is None
    assert collection.post("query", query_texts=["cat"]).json()["ids"] == [[]]
    collection.add(ids=["a"], documents=TEXTS[:1])
    assert collection.now()["configuration_json"]["embedding_function"] == DEFAULT
    assert collection.post("query", query_texts=["cat"]).json()["ids"] == [["a"]]


def test_vectors_of_an_unknown_model_are_not_mixed_with(text_client: ApiClient) -> None:
    collection = text_client.collection().add(ids=["a"], embeddings=[[0.5] * DIMENSION])
    for response in (
        collection.post("add", ids=["b"], documents=["cat"]),
        collection.post("query", query_texts=["cat"]),
        collection.post("search", searches=[{"rank": {"$knn": {"query": "cat"}}}]),
    ):
        assert "names no embedding function" in refusal(response)
    assert collection.post("update", ids=["a"], documents=["cat"]).status_code == 200
    np.testing.assert_array_equal(vectors(collection)["a"], [0.5] * DIMENSION)


def test_a_function_that_the_server_does_not_run(text_client: ApiClient) -> None:
    function = {
        "type": "known",
        "name": "sentence_transformer",
        "config": {"model_name": "all-MiniLM-L6-v2", "device": "cpu"},
    }
    collection = text_client.collection(configuration={"embedding_function": function})
    for response in (
        collection.post("add", ids=["b"], documents=["cat"]),
        collection.post("query", query_texts=["cat"]),
    ):
        message = refusal(response)
        assert "'sentence_transformer'" in message
        assert "it runs default, onnx_mini_lm_l6_v2" in message
        assert "AFTERGLOW_EMBEDDING_FUNCTIONS" in message
    collection.add(ids=["a"], embeddings=[[1, 2, 3]])
    assert collection.post("update", ids=["a"], documents=["cat"]).status_code == 200


def test_another_dimension_is_refused_and_nothing_is_written(collection: CollectionClient) -> None:
    collection.add(ids=["a"], embeddings=[[1, 2, 3]])
    expected = f"Collection expecting embedding with dimension of 3, got {DIMENSION}"
    assert refusal(collection.post("add", ids=["b"], documents=["cat"])) == expected
    assert refusal(collection.post("query", query_texts=["cat"])) == expected
    assert collection.records()["ids"] == ["a"]


def test_records_without_embedding_and_document_are_refused(collection: CollectionClient) -> None:
    message = refusal(collection.post("add", ids=["a", "b"], documents=["cat", None]))
    assert message == "record 'b' has neither an embedding nor a document"
    assert "EmbeddingsPayload" in refusal(collection.post("add", ids=["a"], documents=[None], embeddings=[None]), 422)
    assert "missing field `embeddings`" in refusal(collection.post("add", ids=["a"], documents=[None]), 422)
    assert "missing field `query_embeddings`" in refusal(collection.post("query", n_results=1), 422)
    both = collection.post("query", query_texts=["cat"], query_embeddings=[[1.0] * DIMENSION])
    assert "not both" in refusal(both)
    assert collection.records()["ids"] == []


def test_empty_and_huge_documents(text_client: ApiClient, collection: CollectionClient, model: OnnxModel) -> None:
    huge = "cat " * 250_000
    collection.add(ids=["a", "b"], documents=["", huge])
    stored = vectors(collection)
    np.testing.assert_allclose(stored["a"], model.embed([""]).vectors[0], atol=1e-6)
    np.testing.assert_allclose(stored["b"], model.embed([huge]).vectors[0], atol=1e-6)


@pytest.fixture
def function(text_client: ApiClient) -> Iterator[Any]:
    """Chroma's client of an embedding server, of ours."""
    function = HuggingFaceEmbeddingServer(url=str(text_client.http.base_url.join("/embed")))
    yield function
    function._session.close()


@contextmanager
def stock_client(text_client: ApiClient) -> Iterator[ClientAPI]:
    base = text_client.http.base_url
    client: Any = chromadb.HttpClient(host=base.host, port=base.port or 0)
    yield client
    for connection in (client._server, client._admin_client._server):
        connection._session.close()


def test_the_embedding_route_serves_an_unchanged_client(
    text_client: ApiClient, function: Any, model: OnnxModel
) -> None:
    np.testing.assert_allclose(np.array(function(TEXTS)), model.embed(TEXTS).vectors, atol=1e-6)
    assert len(text_client.request("POST", "/embed", {"inputs": "cat"}).json()) == 1
    assert text_client.request("POST", "/embed", {"inputs": []}).json() == []
    too_many = text_client.request("POST", "/embed", {"inputs": [""] * (Settings().max_batch_size + 1)})
    assert "can have 5461 texts" in refusal(too_many, 413)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the client closes no connection
def test_a_second_client_finds_the_function_in_the_collection(text_client: ApiClient, function: Any) -> None:
    name = f"shared-{next(_names)}"
    with stock_client(text_client) as client:
        client.create_collection(name, embedding_function=function).add(ids=["a", "b"], documents=TEXTS[:2])
    with stock_client(text_client) as client:
        found: Any = client.get_collection(name)
        assert found.query(query_texts=["fish in the sea"], n_results=1)["ids"] == [["b"]]
        del found
        gc.collect()


@pytest.mark.parametrize("embedder", ["none", ""])
def test_a_server_without_a_function_says_so(text_settings: Settings, tmp_path: Path, embedder: str) -> None:
    settings = replace(text_settings, embedder=embedder, embedding_functions="")
    system = System()
    engine = start_engine(open_local(tmp_path, system), settings, system)
    try:
        app = create_app(engine, settings, system, allow_reset=False)
        with serve_app(app) as base, httpx.Client(base_url=base, headers=AGENT) as http:
            client = ApiClient(http)
            collection = client.collection()
            message = refusal(collection.post("add", ids=["a"], documents=["cat"]))
            assert "no default one (AFTERGLOW_EMBEDDER); it runs none" in message
            assert "AFTERGLOW_EMBEDDER" in refusal(client.request("POST", "/embed", {"inputs": "cat"}))
    finally:
        engine.close()


def hybrid_schema(*keys: str, config: dict[str, Any] | None = None, source: str = "#document") -> dict[str, Any]:
    function = {"type": "known", "name": "chroma_bm25", "config": config or {}}
    index = {"enabled": True, "config": {"source_key": source, "bm25": True, "embedding_function": function}}
    return {"defaults": {}, "keys": {key: {"sparse_vector": {"sparse_vector_index": index}} for key in keys}}


def test_plain_text_in_hybrid_search_out(text_client: ApiClient) -> None:
    collection = text_client.collection(schema=hybrid_schema("words"))
    collection.add(ids=["a", "b", "c"], documents=TEXTS)
    words = {"$knn": {"query": "spices of planets", "key": "words"}}
    response = collection.post("search", searches=[{"rank": words, "select": {"keys": ["words"]}}])
    assert response.json()["ids"] == [["c"]], response.text
    both = {
        "$sum": [
            {"$knn": {"query": "the sea", "return_rank": True, "default": 10}},
            {"$knn": {"query": "the sea", "key": "words", "return_rank": True, "default": 10}},
        ]
    }
    assert collection.post("search", searches=[{"rank": both}]).json()["ids"][0][0] == "b"


def test_several_sparse_indexes_and_other_sources(text_client: ApiClient) -> None:
    schema = hybrid_schema("words")
    schema["keys"] |= hybrid_schema("title_words", source="title", config={"include_tokens": True})["keys"]
    collection = text_client.collection(schema=schema)
    own = {"#type": "sparse_vector", "indices": [1], "values": [1.0]}
    metadatas = [{"title": "Cats"}, {"title": "Seas", "words": own}, None]
    collection.add(ids=["a", "b", "c"], documents=TEXTS, metadatas=metadatas)
    stored = collection.records("metadatas")["metadatas"]
    assert stored[0]["title_words"]["tokens"] == ["cat"]
    assert stored[1]["words"] == own
    assert "title_words" not in stored[2]
    search = {"rank": {"$knn": {"query": "a cat", "key": "title_words"}}}
    assert collection.post("search", searches=[search]).json()["ids"] == [["a"]]
    collection.post("update", ids=["a"], metadatas=[{"title": "Dogs"}])
    assert collection.post("search", searches=[search]).json()["ids"] == [[]]


def test_a_text_for_a_key_without_words_is_refused(text_client: ApiClient) -> None:
    collection = text_client.collection(configuration={"embedding_function": DEFAULT})
    search = {"rank": {"$knn": {"query": "a cat", "key": "words"}}}
    assert "cannot be searched under 'words'" in refusal(collection.post("search", searches=[search]))
    search = {"rank": {"$knn": {"query": "a cat", "key": "#document"}}}
    assert "a text searches #embedding" in refusal(collection.post("search", searches=[search]))
