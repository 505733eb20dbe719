"""Files without embeddings: their documents are embedded as they are imported, in every format with columns."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from afterglow.embedding.onnx_model import OnnxModel
from tests.bulk.files import TINY, import_fixture
from tests.support.onnx_files import write_model

TEXTS = ["a red cat", "the blue fish in the sea", None]


def jsonl(folder: Path) -> Path:
    path = folder / "texts.jsonl"
    path.write_text(
        '{"id": "a", "document": "a red cat"}\n{"id": "b", "document": "the blue fish in the sea"}\n{"id": "c"}\n'
    )
    return path


def csv(folder: Path) -> Path:
    path = folder / "texts.csv"
    path.write_text("id,document\na,a red cat\nb,the blue fish in the sea\nc,\n")
    return path


def parquet(folder: Path) -> Path:
    path = folder / "texts.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a", "b", "c"], "document": TEXTS}), path)
    return path


@pytest.mark.parametrize("write", [jsonl, csv, parquet])
def test_documents_are_embedded(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    model = write_model(tmp_path / "model")
    with import_fixture(replace(TINY, embedding_model_dir=str(model))) as at:
        report = at.run(write(tmp_path))
        assert (report.state, report.rows, report.rejected) == ("done", 2, 1)
        assert [error["reason"] for error in at.errors(report)] == ["it has neither an embedding nor a document"]
        contents = at.contents()
    for name, vector in zip(
        "ab", OnnxModel(model, 1).embed(["a red cat", "the blue fish in the sea"]).vectors, strict=True
    ):
        np.testing.assert_allclose(np.frombuffer(contents[name][0], dtype="<f4"), vector, atol=1e-6)


def test_without_a_function_the_import_fails_and_says_why(tmp_path: Path) -> None:
    with import_fixture(replace(TINY, embedder="none")) as at:
        report = at.run(jsonl(tmp_path))
        assert report.state == "failed"
        assert report.reason is not None
        assert "names no embedding function" in report.reason


def test_no_more_documents_are_embedded_at_once_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(f'{{"id": "{number}", "document": "a cat"}}\n' for number in range(20)))
    settings = replace(TINY, embedding_model_dir=str(write_model(tmp_path / "model")), max_batch_size=7)
    with import_fixture(settings) as at:
        report = at.run(path)
        assert (report.state, report.rows) == ("done", 20)
