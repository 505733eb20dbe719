"""`afterglow rescue`: the report, the files, the data directory."""

import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from afterglow.bulk.sidecar import sidecar_path
from afterglow.cli.main import main
from tests.bulk.chroma_directory.make import ARCHIVE


@pytest.fixture
def chroma(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        members = [member for member in archive if "1.5.9" in member.name]
        archive.extractall(tmp_path, members, filter="data")
    return tmp_path / "1.5.9"


def test_a_sound_directory(chroma: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["rescue", str(chroma), "--out", str(tmp_path / "out")])
    output = capsys.readouterr().out.splitlines()
    assert output[0].startswith("default_tenant/default_database/plain: 65 records with vectors; ")
    file = tmp_path / "out/default_tenant/default_database/plain.jsonl"
    expected = json.loads((tmp_path / "1.5.9.json").read_text())["plain"]["records"]
    assert json.loads(file.read_text().splitlines()[0])["document"] == expected["record-000"][1]
    assert json.loads(sidecar_path(file).read_text())["dimension"] == 8
    with pytest.raises(SystemExit):
        main(["rescue", str(chroma), "--out", str(tmp_path / "out")])
    assert "is there already" in capsys.readouterr().err


def test_a_damaged_directory(chroma: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in chroma.glob("*/index_metadata.pickle"):
        file.write_bytes(file.read_bytes()[:800])
    for arguments in (["--into", str(tmp_path / "data"), "--leftovers"], ["--out", str(tmp_path / "out")]):
        with pytest.raises(SystemExit) as exited:
            main(["rescue", str(chroma), *arguments])
        assert exited.value.code == 1
    output = capsys.readouterr().out
    assert "default_tenant/default_database/queued: 11 records; 11 compared: equal" in output
    assert "index_metadata.pickle is damaged" in output
    assert "records without a vector are not in" in output
    assert "default_tenant/default_database/plain.leftovers: " in output
    folder = tmp_path / "out/default_tenant/default_database"
    names = {"records": "plain.jsonl", "without": "plain.without-vectors.jsonl", "leftovers": "plain.leftovers.jsonl"}
    counts = {kind: len((folder / name).read_text().splitlines()) for kind, name in names.items()}
    assert counts["records"] + counts["without"] == 65
    assert counts["records"] + counts["leftovers"] >= 65


def test_deleted_records(chroma: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in chroma.glob("*/"):
        shutil.rmtree(folder)
    with closing(sqlite3.connect(chroma / "chroma.sqlite3")) as table:
        table.execute("PRAGMA secure_delete = OFF")
        table.execute("DELETE FROM embeddings_queue")
        table.execute("DELETE FROM embeddings WHERE embedding_id = 'record-064'")
        table.commit()
    with pytest.raises(SystemExit):
        main(["rescue", str(chroma), "--deleted", "--out", str(tmp_path / "out"), "--into", str(tmp_path / "data")])
    output = capsys.readouterr().out
    assert "from deleted rows of the queue" in output
    assert "default_tenant/default_database/plain.deleted: 1 records; 1 compared: equal" in output
    file = tmp_path / "out/default_tenant/default_database/plain.deleted.jsonl"
    expected = json.loads((tmp_path / "1.5.9.json").read_text())["plain"]["records"]
    assert json.loads(file.read_text())["document"] == expected["record-064"][1]


def test_no_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rescue", str(tmp_path)])
    assert "not a directory of Chroma" in capsys.readouterr().err


def test_nothing_is_left_in_the_folder_for_temporary_files(
    chroma: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    shutil.rmtree(next(chroma.glob("*/")))
    with pytest.raises(SystemExit):
        main(["rescue", str(chroma)])
    assert not list(scratch.iterdir())
