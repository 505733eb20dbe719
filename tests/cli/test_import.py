"""`afterglow import` and `afterglow import-reports`: into a directory, alongside a server, and over HTTP."""

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

import orjson
import pytest

from afterglow.jobs.index_scheduler import IndexScheduler
from afterglow.settings import Settings
from tests.bulk import files
from tests.bulk.files import import_fixture_at, sample
from tests.support.commands import run_command
from tests.support.server import running

PROGRAM = Path(sys.executable).with_name("afterglow")
RECORDS = sample(30)


def afterglow(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return run_command(*map(str, arguments), env=env)


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are not missing: `Path.rglob` finds none in it, and says nothing."""

    def refuse(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refuse)
    done = afterglow("import", tmp_path, "--collection", "imported", "--path", tmp_path / "data")
    assert (done.returncode, done.stderr) == (1, f"afterglow: {tmp_path}: permission denied\n")


def test_into_a_directory(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "files"
    folder.mkdir()
    (folder / "deep").mkdir()
    files.write_jsonl(RECORDS, folder)
    files.write_pair(sample(40), folder / "deep")
    (folder / "notes.txt").write_text("not imported")
    done = afterglow("import", folder, "--collection", "imported", "--path", data, "--space", "cosine")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    imported = [line.partition(",")[0] for line in lines if not line.startswith(" ")]
    assert imported == ["deep/records.jsonl: 40 rows", "records.jsonl: 30 rows"]
    assert lines[1].startswith("  columns: id from id; ")
    again = afterglow("import", folder, "--collection", "imported", "--path", data)
    assert again.returncode == 0
    assert all("already imported" in line for line in again.stdout.splitlines())
    at = import_fixture_at(data, Settings())
    assert at.engine.count(at.scope()).count == 40
    # Nothing is left to index.
    status = at.engine.indexing_status(at.scope())
    assert status.indexed_ops == status.total_ops == 70
    at.engine.close()
    listed = afterglow("import-reports", "list", "--path", data).stdout.splitlines()
    assert len(listed) == 2
    assert all(" done " in line for line in listed)


def test_failures_are_printed_and_set_the_exit_code(tmp_path: Path) -> None:
    data, path = tmp_path / "data", files.write_jsonl(RECORDS, tmp_path)
    path.write_bytes(path.read_bytes() + b"bad\n" * 12)
    done = afterglow("import", path, "--collection", "imported", "--path", data)
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    assert "30 rows, 12 rejected" in lines[0]
    assert lines[1].startswith("  columns: ")
    assert lines[2].startswith("  line 31: no JSON")
    assert lines[12].startswith("  and 2 more: afterglow import-reports show ")
    shown = afterglow("import-reports", "show", lines[12].split()[-1], "--path", data).stdout.splitlines()
    assert lines[1].strip() in shown
    assert sum(line.startswith("records.jsonl:") for line in shown) == 12
    (tmp_path / "text.txt").write_text("hello")
    done = afterglow("import", tmp_path / "text.txt", "--collection", "imported", "--path", data)
    assert done.returncode == 1
    assert "files with this name are not imported" in done.stdout
    for arguments, message in (
        (("no-such-file.csv",), "no such file"),
        ((str(tmp_path / "empty"),), "no file in this directory can be imported"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        done = afterglow("import", *arguments, "--collection", "imported", "--path", data)
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr
    assert afterglow("import-reports", "show", "0", "--path", data).stderr == "afterglow: Import [0] does not exist\n"


@pytest.mark.slow
def test_a_sheet_needs_a_workbook(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('id,embedding\na,"[1, 2]"\n')
    into = ("--collection", "rows", "--path", str(tmp_path / "data"), "--sheet", "Books")
    refused = afterglow("import", tmp_path / "rows.csv", *into)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "afterglow: --sheet needs an Excel workbook (.xlsx, .xlsm) among the files\n"


def test_over_http_and_alongside_a_server(tmp_path: Path) -> None:
    data, home = tmp_path / "data", {"HOME": str(tmp_path)}
    path = files.write_pyarrow(RECORDS, tmp_path)
    with running(data, env={"AFTERGLOW_MAX_BATCH_SIZE": "7"}) as server:
        url = f"http://127.0.0.1:{server.port}"
        done = afterglow("import", path, "--collection", "remote", "--url", url, env=home)
        assert (done.returncode, done.stderr) == (0, "")
        assert "30 rows, 0 rejected" in done.stdout
        done = afterglow("import", path, "--collection", "remote", "--url", url, env=home)
        assert "already imported, 30 rows" in done.stdout
        done = afterglow("import", path, "--collection", "local", "--path", data, env=home)
        assert (done.returncode, done.stderr) == (0, "")
        listed = afterglow("import-reports", "list", "--url", url, env=home).stdout.splitlines()
        assert len(listed) == 1
        assert " local  records.parquet" in listed[0]
        shown = afterglow("import-reports", "show", listed[0].split()[0], "--url", url, env=home)
        assert "rows           30" in shown.stdout
        invalid = afterglow("import", path, "--collection", "x", "--url", url, env=home)
        assert invalid.returncode == 1
        assert "Validation error: name" in invalid.stdout
    at = import_fixture_at(data)
    for name in ("remote", "local"):
        scope = at.scope(name)
        assert at.engine.count(scope).count == 30
        assert at.engine.indexing_status(scope).total_ops == 30
    at.engine.close()


@pytest.mark.slow
def test_an_interrupted_import_resumes(tmp_path: Path) -> None:
    records = sample(3_000, 64)
    data, path = tmp_path / "data", files.write_gzip(records, tmp_path)
    (tmp_path / f"{path.name}.import.json").write_bytes(orjson.dumps({"batch_size": 5}))
    command = [str(PROGRAM), "import", str(path), "--collection", "imported", "--path", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        status = data / "objects" / "imports" / ".status"
        while process.poll() is None and not list(status.rglob("ranges/*.json")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, notice = process.communicate(timeout=60)
        assert process.returncode == 130
        assert notice.endswith(f"afterglow: {path.name}: interrupted; the same command resumes\n")
    before = afterglow("import-reports", "list", "--path", data).stdout.split()
    assert before[1] == "running"
    assert 0 < int(before[2]) < 3_000
    done = afterglow("import", path, "--collection", "imported", "--path", data)
    assert done.returncode == 0
    assert f"3000 rows, {before[2]} of them before" in done.stdout
    at = import_fixture_at(data)
    assert at.contents() == files.expected(records)
    assert at.appended() == 3_000
    at.engine.close()


@pytest.mark.slow
def test_a_watched_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    folder = data / "imports" / "default_tenant" / "default_database" / "imported"
    with running(data) as server:
        folder.mkdir(parents=True)
        written = files.write_pair(RECORDS, tmp_path)
        for file in (written.with_suffix(".npy"), written):
            file.replace(folder / file.name)
        (folder / "words.txt").write_text("no records")
        deadline = time.monotonic() + 60
        while list(folder.iterdir()):
            assert time.monotonic() < deadline, server.printed()
            time.sleep(0.1)
        with server.client() as client:
            reply = client.request("GET", "/api/v2/tenants/default_tenant/databases/default_database/imports")
            reports = {report["file"]: report for report in orjson.loads(reply.body)}
    assert reports["records.jsonl"]["rows"] == 30
    assert reports["words.txt"]["state"] == "failed"
    moved = sorted(
        file.relative_to(data / "imports").as_posix() for file in (data / "imports").rglob("*") if file.is_file()
    )
    target = "default_tenant/default_database/imported"
    assert moved == [
        f".done/{target}/records.jsonl",
        f".done/{target}/records.npy",
        f".failed/{target}/words.txt",
        f".failed/{target}/words.txt.report.json",
    ]
    at = import_fixture_at(data)
    assert at.contents() == files.expected(RECORDS)
    at.engine.close()


@pytest.mark.slow
def test_an_import_that_cannot_be_indexed_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    file = files.write_jsonl(RECORDS, tmp_path)
    with patch.object(IndexScheduler, "_check", side_effect=OSError(28, "No space left on device")):
        done = afterglow("import", file, "--collection", "imported", "--path", data)
    assert done.returncode == 1
    assert "everything is stored, but it cannot be indexed: [Errno 28] No space left on device" in done.stderr
    at = import_fixture_at(data, Settings())
    assert at.engine.count(at.scope()).count == 30
    at.engine.close()
