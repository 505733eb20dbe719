"""Amazon Bedrock: requests, answers and errors of both families, by botocore's stubs; no request leaves the machine."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from afterglow.embedding.embedder import Purpose
from afterglow.embedding.function import EmbeddingFunction
from afterglow.embedding.registry import Registry
from afterglow.errors import Busy, InvalidArgument, Unavailable
from afterglow.settings import Settings, System

TITAN, COHERE = "amazon.titan-embed-text-v2:0", "cohere.embed-english-v3"
SYSTEM = System()


def embedder(model: object, **config: Any) -> Any:
    registry = Registry(Settings(embedding_functions="amazon_bedrock"), SYSTEM)
    stored = json.dumps({"model_name": model, "session_args": {"region_name": "eu-west-1"}, **config})
    return registry.make(EmbeddingFunction("amazon_bedrock", stored.encode()))


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")


@pytest.fixture
def titan() -> Iterator[Any]:
    titan = embedder(TITAN)
    yield titan
    titan.close()


def answer(value: Any) -> dict[str, Any]:
    content = json.dumps(value).encode()
    return {"body": StreamingBody(io.BytesIO(content), len(content)), "contentType": "application/json"}


def request(model: str, body: str) -> dict[str, Any]:
    return {
        "modelId": model,
        "body": body.encode(),
        "accept": "application/json",
        "contentType": "application/json",
    }


def call(bedrock: Any, texts: list[str]) -> Any:
    return bedrock.embed(texts, Purpose.DOCUMENT, SYSTEM.monotonic() + 30)


def test_titan(titan: Any) -> None:
    client, _ = titan._aws.open()
    assert client.meta.region_name == "eu-west-1"
    with Stubber(client) as stub:
        expected = request(TITAN, '{"inputText":"one"}')
        stub.add_response("invoke_model", answer({"embedding": [1, 2], "inputTextTokenCount": 3}), expected)
        embedded = call(titan, ["one"])
    assert embedded.vectors.tolist() == [[1, 2]]
    assert embedded.tokens == 3


def test_cohere() -> None:
    bedrock = embedder(COHERE)
    client, _ = bedrock._aws.open()
    with Stubber(client) as stub:
        expected = request(COHERE, '{"texts":["one","two"],"input_type":"search_document","truncate":"END"}')
        stub.add_response("invoke_model", answer({"embeddings": [[1, 2], [3, 4]]}), expected)
        assert call(bedrock, ["one", "two"]).vectors.tolist() == [[1, 2], [3, 4]]
    bedrock.close()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ThrottlingException", Busy),
        ("ValidationException", InvalidArgument),
        ("AccessDeniedException", Unavailable),
        ("ModelTimeoutException", Unavailable),
    ],
)
def test_errors(titan: Any, code: str, error: type) -> None:
    client, _ = titan._aws.open()
    with Stubber(client) as stub:
        stub.add_client_error("invoke_model", code, "a reason")
        with pytest.raises(error, match="Amazon Bedrock"):
            call(titan, ["one"])


@pytest.mark.parametrize("value", [{}, {"embedding": []}, {"embedding": "x"}, [], {"embedding": [[1]]}])
def test_answers_of_another_form(titan: Any, value: Any) -> None:
    client, _ = titan._aws.open()
    with Stubber(client) as stub:
        stub.add_response("invoke_model", answer(value))
        with pytest.raises(Unavailable, match="Amazon Bedrock answered"):
            call(titan, ["one"])


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("anthropic.claude", {}),
        (7, {}),
        (TITAN, {"session_args": {"region_name": "x.example.org/"}}),
        (TITAN, {"session_args": {"region_name": 7}}),
    ],
)
def test_other_models_and_regions_are_refused(model: object, config: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        embedder(model, **config)
