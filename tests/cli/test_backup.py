"""`afterglow backup`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import run_command
from tests.support.server import running
from tests.support.wire import Wire

PROGRAM = Path(sys.executable).with_name("afterglow")


def backup(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command("backup", *arguments)


@pytest.mark.slow
def test_a_directory_in_use_and_a_server_on_the_backup(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with running(path) as server, server.client() as client:
        wire = Wire(client)
        collection = wire.create("things")
        wire.write(collection, "add", {"ids": ["a", "b"], "embeddings": [[1, 2], [3, 4]]})
        done = backup("--to", str(tmp_path / "backups"), "--path", str(path), "--keep", "1")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r"\S+/backups/\d{8}T\d{6}Z: \d objects, \d of them new\n", done.stdout)
        wire.delete(collection, {"ids": ["a"]})
    (copy,) = (tmp_path / "backups").iterdir()
    with running(copy) as server, server.client() as client:
        assert Wire(client).get(collection)["ids"] == ["a", "b"]


@pytest.mark.slow
def test_failures(tmp_path: Path) -> None:
    done = backup("--to", str(tmp_path / "backups"), "--path", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"afterglow: {tmp_path}: not a data directory, it has no table.sqlite\n"
    assert backup("--to", "backups", "--keep", "0").returncode == 2
    with running(tmp_path / "data"):
        pass
    (tmp_path / "file").touch()
    done = backup("--to", str(tmp_path / "file"), "--path", str(tmp_path / "data"))
    assert (done.returncode, done.stderr) == (1, f"afterglow: {tmp_path / 'file'}: file exists\n")
