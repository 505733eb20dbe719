"""Texts through a deployment whose local model is a function of its own: the API and the importer invoke it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from afterglow.embedding.onnx_model import OnnxModel
from afterglow.settings import LAMBDA_DEFAULTS
from tests.stack.test_deploy import call, eventually
from tests.support.deployment import Deployment, client

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

TEXTS = ["the red bird", "a blue fish in the sea", "desert and spice", "green house in the tree"]


@pytest.fixture(scope="module")
def stack(texts: Deployment) -> Deployment:
    return texts


@pytest.fixture
def chroma(stack: Deployment) -> "Iterator[ClientAPI]":
    with stack.client() as client:
        yield client


def test_texts_are_embedded_by_the_function(
    stack: Deployment,
    chroma: "ClientAPI",
    model: Path,
    archive: bytes,
    record_property: Callable[[str, object], None],
) -> None:
    collection = chroma.create_collection("texts", embedding_function=None)
    path = f"/collections/{collection.id}"
    body = {"ids": [str(row) for row in range(len(TEXTS))], "documents": TEXTS}
    missing = call(chroma, "POST", f"{path}/add", body)
    assert missing.status_code == 503
    assert "the bucket has no embedding model" in missing.text
    assert collection.count() == 0

    key = LAMBDA_DEFAULTS.embedding_model_archive
    client(stack.aws, "s3").put_object(Bucket=stack.outputs["Bucket"], Key=key, Body=archive)
    began = time.perf_counter()
    added = call(chroma, "POST", f"{path}/add", body)
    first = time.perf_counter() - began
    assert added.status_code == 201, added.text
    assert "lambda.Invoke=1" in added.headers["afterglow-usage"]

    began = time.perf_counter()
    found = call(chroma, "POST", f"{path}/query", {"query_texts": TEXTS, "n_results": 2})
    second = time.perf_counter() - began
    assert found.status_code == 200, found.text
    expected = OnnxModel(model, 1).embed(TEXTS).vectors
    assert [ids[0] for ids in found.json()["ids"]] == body["ids"]
    stored = collection.get(ids=body["ids"], include=["embeddings"])["embeddings"]
    assert stored is not None
    np.testing.assert_allclose(stored, expected, atol=1e-5)
    for name, value in {"first texts, s": first, "texts of a warm function, s": second}.items():
        print(name, round(value, 2))
        record_property(name, round(value, 2))


def test_the_importer_has_texts_embedded(stack: Deployment, chroma: "ClientAPI", model: Path, archive: bytes) -> None:
    key = LAMBDA_DEFAULTS.embedding_model_archive
    storage = client(stack.aws, "s3")
    storage.put_object(Bucket=stack.outputs["Bucket"], Key=key, Body=archive)
    rows = [json.dumps({"id": str(row), "document": text}) for row, text in enumerate(TEXTS)]
    place = "imports/default_tenant/default_database/imported/texts.jsonl"
    storage.put_object(Bucket=stack.outputs["Bucket"], Key=place, Body="\n".join(rows).encode())
    eventually(lambda: "imported" in {found.name for found in chroma.list_collections()}, "no collection", stack)
    collection = chroma.get_collection("imported", embedding_function=None)
    eventually(lambda: collection.count() == len(TEXTS), "the rows did not arrive", stack)
    stored = collection.get(ids=["2"], include=["embeddings"])["embeddings"]
    assert stored is not None
    np.testing.assert_allclose(stored, OnnxModel(model, 1).embed(TEXTS[2:3]).vectors, atol=1e-5)
