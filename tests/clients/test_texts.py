"""Texts of the TypeScript client, embedded by the server."""

import json
from pathlib import Path

import pytest

from tests.clients.judges import node
from tests.support.onnx_files import write_model
from tests.support.server import HOST, running

pytestmark = pytest.mark.clients

DOCUMENTS = ["a red cat", "the blue fish in the sea", "a desert planet and its spice"]


def test_the_typescript_client(tmp_path: Path) -> None:
    env = {"AFTERGLOW_EMBEDDING_MODEL_DIR": str(write_model(tmp_path / "model"))}
    with running(tmp_path / "data", env=env) as server:
        outcome = node("v2", "texts.mjs", f"http://{HOST}:{server.port}", json.dumps(DOCUMENTS))
    assert outcome == {"by its function": [["d1"]], "by the server": [["d2"]], "read by the client": [DOCUMENTS[0]]}
