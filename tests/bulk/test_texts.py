"""Files without embeddings: their documents are embedded as they are imported, in every format with columns."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from afterglow.bulk.sink import Sink
from afterglow.bulk.types import Plan
from afterglow.collection import Batch
from afterglow.embedding.model_archive import NAME, Archive
from afterglow.embedding.onnx_model import OnnxModel
from afterglow.errors import Unavailable
from afterglow.storage.ports import Put
from tests.bulk.files import TINY, ImportFixture, import_fixture
from tests.support.onnx_files import write_model
from tests.support.server import free_port

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


def assert_the_import_ends_and_can_be_repeated(at: ImportFixture, path: Path, reason: str, folder: Path) -> None:
    """It ends after a moment; with a model in the folder, it goes on when it is run again."""
    started = at.stores.system.monotonic()
    with pytest.raises(Unavailable, match=reason):
        at.run(path)
    assert at.stores.system.monotonic() - started < 60
    write_model(folder)
    assert at.run(path).state == "done"


def test_a_model_that_cannot_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Archive(f"http://127.0.0.1:{free_port()}/onnx.tar.gz", "0" * 64)
    monkeypatch.setattr("afterglow.embedding.model_archive.MINI_LM", nowhere)
    folder = tmp_path / NAME
    with import_fixture(replace(TINY, embedding_model_dir=str(folder))) as at:
        reason = "cannot be fetched from http://127.*AFTERGLOW_EMBEDDING_MODEL_DIR"
        assert_the_import_ends_and_can_be_repeated(at, jsonl(tmp_path), reason, folder)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with import_fixture(replace(TINY, embedding_model_dir=str(folder))) as at:
        reason = "there is no embedding model in .*AFTERGLOW_EMBEDDING_MODEL_DIR"
        assert_the_import_ends_and_can_be_repeated(at, jsonl(tmp_path), reason, folder)


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.onnx", "tokenizer.json"):
        (folder / name).write_text("damaged")
    with import_fixture(replace(TINY, embedding_model_dir=str(folder))) as at:
        assert_the_import_ends_and_can_be_repeated(at, jsonl(tmp_path), "cannot be loaded", folder)


class Failing:
    """A sink that is unavailable a few times."""

    def __init__(self, sink: Sink, errors: list[Unavailable]) -> None:
        self.sink, self.errors, self.max_rows, self.open = sink, errors, sink.max_rows, sink.open

    def write(self, plan: Plan, batch: Batch, progress_write: Put) -> None:
        """Raise the next error, or write."""
        if self.errors:
            raise self.errors.pop(0)
        self.sink.write(plan, batch, progress_write)


def test_what_passes_is_waited_for_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = write_model(tmp_path / "model")
    with import_fixture(replace(TINY, embedding_model_dir=str(model))) as at:
        failing = Failing(at.context.sink, [Unavailable("being fetched", 5.0)] * 20)
        waiting = replace(at, context=replace(at.context, sink=failing))
        assert waiting.run(jsonl(tmp_path)).state == "done"
    assert [record.getMessage() for record in caplog.records if "waits" in record.getMessage()] == [
        "the import waits, for up to an hour: being fetched"
    ]


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
