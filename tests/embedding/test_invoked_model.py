"""The model in a function of its own: texts through an invocation and back, faults of it and of its archive."""

import hashlib
import io
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import numpy as np
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from afterglow.deadline import time_limit
from afterglow.deployment.local import open_local
from afterglow.embedding.bucket_model import BucketModel
from afterglow.embedding.embedder import Purpose
from afterglow.embedding.function import EmbeddingFunction
from afterglow.embedding.invoked_model import MAX_CHARACTERS, SLICE_CHARACTERS, SLICE_TEXTS, slices
from afterglow.embedding.onnx_model import OnnxModel
from afterglow.embedding.registry import DEFAULT, MINI_LM, Registry
from afterglow.errors import Busy, InvalidArgument, Unavailable
from afterglow.metering import collect_usage
from afterglow.settings import LAMBDA_DEFAULTS, Settings, System
from afterglow.storage.ports import Objects
from tests.infra.templates import ROOT
from tests.support import aws
from tests.support.onnx_files import WORDS, archive_of

SYSTEM = System()
KEY = LAMBDA_DEFAULTS.embedding_model_archive
TEXTS = [" ".join(WORDS[4 + i % 20 : 5 + i % 20 + i % 7]) for i in range(2 * SLICE_TEXTS + 5)]


@pytest.fixture(scope="module")
def archive(model_folder: Path) -> bytes:
    return archive_of(model_folder)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    system = System()
    deployment = open_local(tmp_path / "bucket", system)
    found: Objects = deployment.objects
    return found


def bucket_model(objects: Objects, archive: bytes, folder: Path) -> BucketModel:
    return BucketModel(objects, folder, Settings(embedding_model_checksum=hashlib.sha256(archive).hexdigest()))


class FakeLambda:
    """Lambda's client: what it invokes has JSON in and JSON out, as the service does it."""

    def __init__(self, handler: Callable[[dict[str, Any]], Any]) -> None:
        self.handler = handler
        self.invoked: list[int] = []

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        assert FunctionName == "stack-embedder"
        assert len(Payload) < 6_000_000
        event = json.loads(Payload)
        self.invoked.append(len(event["texts"]))
        answer = self.handler(event)
        if isinstance(answer, BaseException):
            raise answer
        failed = {"FunctionError": "Unhandled"} if answer is None else {}
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(answer).encode()), **failed}

    def close(self) -> None:
        pass


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """An embedder over a function with this handler."""

    def embedder(handler: Callable[[dict[str, Any]], Any], name: str = DEFAULT) -> tuple[Any, FakeLambda]:
        client = FakeLambda(handler)
        monkeypatch.setattr(botocore.session.Session, "create_client", lambda *_, **__: client)
        settings = Settings(
            embedding_lambda="stack-embedder", embedder=DEFAULT, embedding_functions=f"{DEFAULT},{MINI_LM}"
        )
        return Registry(settings, SYSTEM).make(EmbeddingFunction(name)), client

    return embedder


def embed(embedder: Any, texts: list[str], seconds: float = 60) -> Any:
    return embedder.embed(texts, Purpose.DOCUMENT, SYSTEM.monotonic() + seconds)


@pytest.mark.parametrize("name", [DEFAULT, MINI_LM])
def test_the_vectors_are_those_of_the_model(
    invoke: Callable[..., Any], objects: Objects, archive: bytes, model_folder: Path, tmp_path: Path, name: str
) -> None:
    objects.put(KEY, archive)
    model = bucket_model(objects, archive, tmp_path / "model")
    embedder, client = invoke(model.answer, name)
    with collect_usage() as usage:
        embedded = embed(embedder, [*TEXTS, "sea " * 500])
    embedder.close()
    expected = OnnxModel(model_folder, 1).embed([*TEXTS, "sea " * 500])
    np.testing.assert_allclose(embedded.vectors, expected.vectors, atol=1e-6)
    assert (embedded.truncated, sorted(client.invoked)) == (1, [6, SLICE_TEXTS, SLICE_TEXTS])
    assert usage.calls == {"lambda.Invoke": 3}


def test_an_archive_that_is_missing_or_another_is_named_until_it_is_there(
    invoke: Callable[..., Any], objects: Objects, archive: bytes, tmp_path: Path
) -> None:
    model = bucket_model(objects, archive, tmp_path / "model")
    embedder, _ = invoke(model.answer)
    with pytest.raises(Unavailable, match=f"copy the archive of all-MiniLM-L6-v2 to {KEY}"):
        embed(embedder, ["cat"])
    objects.put(KEY, archive[:-1])
    with pytest.raises(Unavailable, match="does not have the expected SHA-256"):
        embed(embedder, ["cat"])
    objects.put(KEY, archive)
    assert len(embed(embedder, ["cat"]).vectors) == 1
    embedder.close()


def throttled(_event: dict[str, Any]) -> BaseException:
    return ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")


@pytest.mark.parametrize(
    ("handler", "error", "text"),
    [
        (throttled, Busy, "no more concurrent executions"),
        (lambda _: ClientError({"Error": {"Code": "AccessDeniedException"}}, "Invoke"), Unavailable, "AccessDenied"),
        (lambda _: ConnectTimeoutError(endpoint_url="lambda"), Unavailable, "did not answer"),
        (lambda _: None, Unavailable, "its log has the reason"),
        (lambda _: {"rows": 1}, Unavailable, "unknown form"),
        (lambda _: {"rows": 0, "vectors": "", "truncated": 0}, Unavailable, "unknown form"),
        (lambda _: {"rows": 2, "vectors": "AAAAAAAAAAA=", "truncated": 0}, Unavailable, "2 vectors for 1 texts"),
        (lambda _: {"error": "no room"}, Unavailable, "no room"),
    ],
)
def test_faults(invoke: Callable[..., Any], handler: Any, error: type[Exception], text: str) -> None:
    embedder, _ = invoke(handler)
    with pytest.raises(error, match=text):
        embed(embedder, ["cat"])
    embedder.close()


def test_a_request_that_has_no_time_left_does_not_wait(invoke: Callable[..., Any]) -> None:
    embedder, _ = invoke(throttled)
    with time_limit(0.0, SYSTEM.monotonic), pytest.raises(Unavailable):
        embed(embedder, ["cat"])
    embedder.close()


@pytest.mark.parametrize(
    "texts", [["a"], ["a"] * 1_000, ["b" * 90_000] * 40, ["c" * 5_000_000, "d"], ["", *["e" * 30_000] * 99]]
)
def test_an_invocation_is_bounded_and_none_is_left_out(texts: list[str]) -> None:
    parts = list(slices(texts))
    assert [text for part in parts for text in part] == [text[:MAX_CHARACTERS] for text in texts]
    for part in parts:
        assert 0 < len(part) <= SLICE_TEXTS
        assert sum(map(len, part)) <= SLICE_CHARACTERS


def test_without_the_function_a_lambda_function_runs_no_local_model() -> None:
    with pytest.raises(InvalidArgument, match="does not run the embedding function 'default'"):
        Registry(LAMBDA_DEFAULTS, SYSTEM).make(EmbeddingFunction(DEFAULT))


@pytest.mark.slow
def test_the_function(archive: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """functions/embedder over an emulated bucket."""
    with aws.moto_aws() as endpoint:
        variables = {
            **aws.environment(endpoint=endpoint),
            "AFTERGLOW_TABLE": "table",
            "AFTERGLOW_BUCKET": "afterglow-models",
            "AFTERGLOW_CACHE_DIR": str(tmp_path),
            "AFTERGLOW_EMBEDDING_MODEL_CHECKSUM": hashlib.sha256(archive).hexdigest(),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        client: Any = botocore.session.get_session().create_client("s3")
        client.create_bucket(
            Bucket="afterglow-models", CreateBucketConfiguration={"LocationConstraint": variables["AWS_DEFAULT_REGION"]}
        )
        handler = runpy.run_path(str(ROOT / "functions" / "embedder" / "app.py"))["handler"]
        reply = handler({"texts": ["cat"]}, None)
        assert "the bucket has no embedding model" in reply["error"]
        assert reply["retry_after"] > Unavailable.PASSING_SECONDS
        client.put_object(Bucket="afterglow-models", Key=KEY, Body=archive)
        assert handler({"texts": ["cat", "sea"]}, None)["rows"] == 2
