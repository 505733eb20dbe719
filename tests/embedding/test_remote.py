"""Services behind HTTP: requests and vectors of each protocol, faults, deadlines, and what is never sent."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from afterglow.embedding.function import EmbeddingFunction
from afterglow.embedding.service import EmbeddingService
from afterglow.errors import Busy, InvalidArgument, Unavailable
from afterglow.metering import collect_usage
from afterglow.settings import Settings, System, from_environment
from tests.support.embedding_server import EmbeddingServer, embedding_server, half, slow, status, text, vector

KEY = "sk-secret"
SYSTEM = System(sleep=lambda _seconds: None)
FUNCTIONS = "openai,ollama,huggingface_server,cohere"


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as running:
        yield running


@pytest.fixture
def service(server: EmbeddingServer) -> Iterator[EmbeddingService]:
    service = make_service(server)
    yield service
    service.close()


def make_service(server: EmbeddingServer, **settings: Any) -> EmbeddingService:
    defaults = {"embedding_functions": FUNCTIONS, "embedding_urls": server.url, "openai_api_key": KEY}
    return EmbeddingService(Settings(**{**defaults, **settings}), SYSTEM)


def function(name: str, **config: Any) -> EmbeddingFunction:
    return EmbeddingFunction(name, json.dumps(config).encode())


def openai(server: EmbeddingServer, **config: Any) -> EmbeddingFunction:
    return function("openai", **{"api_base": f"{server.url}/v1", "model_name": "text-embedding-3-small", **config})


def test_requests_and_vectors_of_the_protocols(server: EmbeddingServer, service: EmbeddingService) -> None:
    texts = ["one", "four", "a"]
    functions = (
        openai(server, dimensions=8, api_key_env_var="HOME"),
        function("ollama", url=server.url, model_name="nomic", timeout=60),
        function("huggingface_server", url=f"{server.url}/embed"),
    )
    for embedding_function in functions:
        found = service.embed_documents(embedding_function, texts)
        np.testing.assert_array_equal(found, np.array([vector(content) for content in texts], dtype=np.float32))
    (path, headers, body), ollama, huggingface = server.requests
    assert (path, body) == (
        "/v1/embeddings",
        {"model": "text-embedding-3-small", "input": texts, "dimensions": 8},
    )
    assert headers["authorization"] == f"Bearer {KEY}"
    assert ollama[::2] == ("/api/embed", {"model": "nomic", "input": texts})
    assert huggingface[::2] == ("/embed", {"inputs": texts})
    assert "authorization" not in huggingface[1]


def test_many_texts_are_several_requests_in_order(server: EmbeddingServer, service: EmbeddingService) -> None:
    texts = [f"{number}" * (1 + number % 5) for number in range(300)]
    with collect_usage() as usage:
        found = service.embed_documents(openai(server), texts)
    np.testing.assert_array_equal(found, np.array([vector(content) for content in texts], dtype=np.float32))
    assert len(server.requests) == 3
    assert usage.calls == {"embedding.openai": 300, "embedding.tokens": 900}
    assert usage.phases["embed"] > 0


@pytest.mark.parametrize(
    "faults",
    [
        [status(429, retry_after="1")],
        [status(503), status(500), half],
        [half],
        [text("{")],
    ],
)
def test_passing_faults_are_retried(server: EmbeddingServer, service: EmbeddingService, faults: list[Any]) -> None:
    server.faults = faults
    assert service.embed_documents(openai(server), ["one"]).tolist() == [vector("one")]
    assert not server.faults


@pytest.mark.parametrize(
    ("fault", "error", "message", "requests"),
    [
        (status(429, retry_after="1"), Busy, "openai limits the rate", 4),
        (status(500, "broken"), Unavailable, "openai failed \\(500\\): broken", 4),
        (half, Unavailable, "openai did not answer: IncompleteRead", 4),
        (text("<html>"), Unavailable, "something other than JSON", 4),
        (status(401), Unavailable, "refuses the key of this server", 1),
        (status(404, "no such model"), Unavailable, "no such model or path \\(404\\): no such model", 1),
        (status(302, location="http://169.254.169.254/"), Unavailable, "no such model or path \\(302\\)", 1),
        (status(400, "too long"), InvalidArgument, "refuses the texts \\(400\\): too long", 1),
        (text('{"data": []}'), Unavailable, "vectors of shape 0 for 1 texts", 1),
        (text('{"data": [{"index": 0, "embedding": [1, "x"]}]}'), Unavailable, "unknown form", 1),
        (text('{"data": [{"index": 0, "embedding": [1, NaN]}]}'), Unavailable, "other than JSON", 4),
        (text('{"data": [{"index": 0, "embedding": [1, 1e60]}]}'), Unavailable, "invalid vector", 1),
        (text("[]"), Unavailable, "unknown form", 1),
    ],
)
def test_lasting_faults(
    server: EmbeddingServer, service: EmbeddingService, fault: Any, error: type, message: str, requests: int
) -> None:
    server.faults = [fault] * 4
    with pytest.raises(error, match=message) as caught:
        service.embed_documents(openai(server), ["one"])
    assert KEY not in str(caught.value)
    assert len(server.requests) == requests


def test_a_slow_service_ends_at_the_deadline(server: EmbeddingServer) -> None:
    service = make_service(server, embedding_timeout_seconds=0.2)
    server.faults = [slow(1.0)] * 3
    with pytest.raises(Unavailable, match="openai did not answer"):
        service.embed_documents(openai(server), ["one"])
    service.close()


def test_nobody_listens(server: EmbeddingServer) -> None:
    service = make_service(server, embedding_urls="http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="openai did not answer: ConnectionRefusedError"):
        service.embed_documents(function("openai", api_base="http://127.0.0.1:9", model_name="m"), ["one"])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/v1",
        "https://api.openai.com.example.org/v1",
        "https://example.org/allowed/../v1",
        "https://example.org/allowedother",
        "http://example.org/allowed",
        "https://user@example.org/allowed",
        "https://example.org/allowed?x=1",
        "https://example.org:444/allowed",
        "https://example.org:x/allowed",
        "file:///etc/passwd",
        "",
        7,
    ],
)
def test_urls_that_the_operator_did_not_allow_are_not_called(server: EmbeddingServer, url: object) -> None:
    service = make_service(server, embedding_urls=" https://example.org/allowed , http://other.example")
    for name in ("openai", "huggingface_server", "ollama"):
        with pytest.raises(InvalidArgument):
            service.embed_documents(function(name, api_base=url, url=url, model_name="m"), ["one"])


@pytest.mark.parametrize(
    "config",
    [{"model_name": 7}, {"dimensions": "8"}, {"dimensions": 0}, {"api_type": "azure"}, {"default_headers": {"a": "b"}}],
)
def test_invalid_configurations_are_refused(
    server: EmbeddingServer, service: EmbeddingService, config: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument):
        service.embed_documents(openai(server, **config), ["one"])
    assert not server.requests


def test_the_operators_own_function_needs_no_permission(server: EmbeddingServer) -> None:
    embedder = json.dumps({"name": "ollama", "config": {"url": server.url, "model_name": "nomic"}})
    service = make_service(server, embedder=embedder, embedding_functions="", embedding_urls="")
    assert service.default is not None
    assert service.runs(service.default)
    assert service.embed_documents(service.default, ["one"]).shape == (1, 8)
    other = function("ollama", url=server.url, model_name="other")
    with pytest.raises(InvalidArgument, match="does not run the embedding function 'ollama'"):
        service.embed_documents(other, ["one"])
    service.close()


@pytest.mark.parametrize(
    "settings",
    [{"embedder": "{"}, {"embedder": "{}"}, {"embedder": "sentence_transformer"}, {"embedding_functions": "default,x"}],
)
def test_invalid_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="AFTERGLOW_EMBED"):
        EmbeddingService(Settings(**settings), SYSTEM)


def test_keys_come_from_the_environment() -> None:
    settings = from_environment({"OPENAI_API_KEY": "a", "CHROMA_COHERE_API_KEY": "b", "CHROMA_OPENAI_API_KEY": "c"})
    assert (settings.openai_api_key, settings.cohere_api_key, settings.huggingface_api_key) == ("a", "b", "")
    assert from_environment({"OPENAI_API_KEY": "a", "AFTERGLOW_OPENAI_API_KEY": "d"}).openai_api_key == "d"
    assert "'a'" not in repr(settings)


def test_query_texts_are_cached(server: EmbeddingServer) -> None:
    service = make_service(server, embedding_query_cache=2)
    embedding_function = openai(server)
    for texts in (["a", "b", "a"], ["b", "a"], ["c"], ["a"], ["b"]):
        found = service.embed_queries(embedding_function, texts)
        assert found.tolist() == [vector(content) for content in texts]
    assert [body["input"] for _, _, body in server.requests] == [["a", "b"], ["c"], ["b"]]
    service.close()
