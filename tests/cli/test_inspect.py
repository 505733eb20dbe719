"""`status`, `collections` and `query`: on a directory and against a server, and how they fail."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from afterglow.catalog import schema
from afterglow.cli.console import error_boundary
from afterglow.cli.main import parser
from afterglow.collection import Batch, Op
from afterglow.collection.types import Scope
from afterglow.deployment.local import open_local
from afterglow.jobs.start import start_engine
from afterglow.settings import Settings, System, from_environment
from tests.support.onnx_files import write_model
from tests.support.server import running

TENANT, DATABASE = "default_tenant", "default_database"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory with one collection of three records."""
    settings, system = Settings(), System()
    engine = start_engine(open_local(tmp_path / "data", system), settings, system)
    try:
        made = engine.create_collection(TENANT, DATABASE, "books", {"shelf": 1}, schema.reconcile(None, None, None))
        vectors = np.array([[1, 0], [0, 1], [3, 3]], dtype=np.float32)
        documents = ["first " * 30, "second", None]
        metadatas = [{"year": 1}, {"year": 2}, None]
        batch = Batch(Op.ADD, ["a", "b", "c"], vectors=vectors, documents=documents, metadatas=metadatas)
        engine.write(Scope(TENANT, DATABASE, made.id), batch)
    finally:
        engine.close()
    return tmp_path / "data"


@pytest.fixture(params=["directory", "server"])
def target(request: pytest.FixtureRequest, data: Path) -> Iterator[list[str]]:
    """The options that name the directory, or a server on it."""
    if request.param == "directory":
        yield ["--path", str(data)]
        return
    with running(data) as server:
        yield ["--url", f"http://{server.host}:{server.port}"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command in this process; what it printed."""

    def command(*arguments: str) -> str:
        args = parser().parse_args(arguments)
        with error_boundary():
            args.command(args)
        return capsys.readouterr().out

    return command


@pytest.mark.slow
def test_a_deployment_is_listed_shown_searched_and_changed(target: list[str], run: Callable[..., str]) -> None:
    lines = run("status", *target).splitlines()
    assert "1 collections, 3 records" in lines[1]
    assert lines[3].split()[:4] == ["default_tenant/default_database/books", "3", "2", "l2"]

    [_, row] = run("collections", "list", *target).splitlines()
    assert row.split()[:4] == ["books", "3", "2", "l2"]

    shown = json.loads(run("collections", "show", "books", *target))
    assert (shown["records"], shown["metadata"], shown["dimension"]) == (3, {"shelf": 1}, 2)

    by_vector = run("query", "books", "--vector", "[0, 2]", "-n", "2", *target).splitlines()
    assert [line.split()[:2] for line in by_vector[1:]] == [["1", "b"], ["5", "a"]]
    assert by_vector[2].endswith("…")
    like = run("query", "books", "--like", "a", "--where", '{"year": {"$gt": 1}}', *target).splitlines()
    assert [line.split()[:2] for line in like[1:]] == [["2", "b"]]

    with pytest.raises(SystemExit) as refused:
        run("collections", "delete", "books", *target)
    assert refused.value.code == 2
    run("collections", "delete", "books", "--yes", *target)
    assert "0 collections, 0 records" in run("status", *target)


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["query", "books", "--vector", "[1,"], "--vector is not JSON", 2),
        (["query", "books", "--like", "nobody"], "no record 'nobody' in collection 'books'", 1),
        (["query", "others", "--like", "a"], "no collection 'others'", 1),
        (["query", "books", "--vector", "[1, 2, 3]"], "dimension", 1),
        (["query", "books", "--vector", "[1, 2]", "--where", '{"$nor": []}'], "where", 1),
        (["query", "books", "--vector", '{"a": 1}'], "--vector must be a list of numbers", 2),
        (["query", "books", "--vector", '["a", 1]'], "--vector must be a list of numbers", 2),
        (["query", "books", "--vector", "[1, 2]", "--where", "5"], "--where must be an object", 2),
    ],
)
def test_failures_are_one_line(
    data: Path,
    run: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
    code: int,
) -> None:
    with pytest.raises(SystemExit) as failure:
        run(*arguments, "--path", str(data))
    assert failure.value.code == code
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_text_is_searched_for(tmp_path: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERGLOW_EMBEDDING_MODEL_DIR", str(write_model(tmp_path / "model")))
    settings, system = from_environment(), System()
    engine = start_engine(open_local(tmp_path / "data", system), settings, system)
    try:
        function = {"embedding_function": {"type": "known", "name": "default", "config": {}}}
        made = engine.create_collection(TENANT, DATABASE, "texts", None, schema.reconcile(function, None, None))
        batch = Batch(Op.ADD, ["sea", "land"], documents=["fish in the sea", "desert planet"])
        engine.write(Scope(TENANT, DATABASE, made.id), batch)
    finally:
        engine.close()
    target = ["--path", str(tmp_path / "data")]
    found = run("query", "texts", "--text", "desert planet", "-n", "1", *target).splitlines()
    assert found[1].split()[:2] == ["0", "land"]
    with running(tmp_path / "data") as server:
        by_url = run(
            "query", "texts", "--text", "desert planet", "-n", "1", "--url", f"http://{server.host}:{server.port}"
        )
        assert by_url.splitlines()[1].split()[1] == "land"
