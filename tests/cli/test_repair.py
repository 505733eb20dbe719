"""`afterglow verify` and `repair` on a copy of a directory whose table is newer than its objects."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import running
from tests.support.wire import Refused, Wire

PROGRAM = Path(sys.executable).with_name("afterglow")
LARGE = "x" * 400_000


def run(*arguments: str, path: Path, code: int) -> list[str]:
    command = [str(PROGRAM), *arguments, "--path", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, ""), done
    return done.stdout.splitlines()


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }


@pytest.fixture
def copy(folder: Path) -> Path:
    """A copy whose log names a batch that was not copied; a second collection is whole."""
    data, copy = folder / "data", folder / "copy"
    with running(data) as server, server.client() as client:
        wire = Wire(client)
        collection, other = wire.create("torn"), wire.create("whole")
        wire.write(other, "add", {"ids": ["o"], "embeddings": [[1, 2]]})
        wire.write(collection, "add", {"ids": ["a", "b"], "embeddings": [[1, 2], [3, 4]]})
        wire.write(collection, "add", {"ids": ["c"], "embeddings": [[5, 6]], "documents": [LARGE]})
        wire.write(collection, "add", {"ids": ["d"], "embeddings": [[7, 8]]})
    shutil.copytree(data, copy)
    (batch,) = copy.glob("objects/*/log/*.batch")
    batch.unlink()
    return copy


@pytest.mark.slow
def test_a_torn_copy(copy: Path) -> None:
    before = files(copy)
    lines = run("verify", path=copy, code=1)
    assert any("torn" in line and line.endswith(": damaged") for line in lines)
    assert any("whole" in line and line.endswith(": ok") for line in lines)
    assert lines[-1] == "1 damaged; they take no writes; `afterglow repair` shows what can be saved"
    shown = run("repair", path=copy, code=1)
    assert "  lost: log entries 2 to 3, about 2 operations" in shown
    assert shown[-1] == "nothing was changed; --yes repairs"
    assert files(copy) == before
    with running(copy) as server, server.client() as client:
        wire = Wire(client)
        torn, whole = wire.create("torn"), wire.create("whole")
        with pytest.raises(Refused) as refused:
            wire.write(torn, "add", {"ids": ["e"], "embeddings": [[1, 1]]})
        assert refused.value.status == 500
        assert "read-only until it is repaired (afterglow repair)" in json.loads(refused.value.text)["message"]
        with pytest.raises(Refused):
            wire.get(torn)
        wire.write(whole, "add", {"ids": ["p"], "embeddings": [[1, 1]]})
        assert wire.count(whole) == 2
        done = run("repair", "torn", "--yes", path=copy, code=0)
        assert any(line.startswith("  repaired: 2 records, collection ") for line in done)
        repaired = wire.create("torn")
        assert wire.get(repaired)["ids"] == ["a", "b"]
        wire.write(repaired, "add", {"ids": ["e"], "embeddings": [[1, 1]]})
    lines = run("verify", path=copy, code=0)
    assert sorted(line.rpartition(": ")[2] for line in lines if line.startswith("default")) == [
        "dropped, damaged",
        "ok",
        "ok",
    ]
    assert run("repair", path=copy, code=0) == ["no collection needs repair"]


@pytest.fixture
def read_only(copy: Path, folder: Path) -> Iterator[Path]:
    """The copy on a read-only mount."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("a read-only mount takes root on Linux")
    mounted = folder / "mounted"
    mounted.mkdir()
    if subprocess.run(["mount", "--bind", copy, mounted], capture_output=True, check=False).returncode:
        pytest.skip("this machine mounts nothing for us")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", mounted], check=True)
        yield mounted
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)


@pytest.mark.slow
def test_verify_needs_no_permission_to_write(read_only: Path) -> None:
    lines = run("verify", path=read_only, code=1)
    assert any("is lost: object" in line for line in lines)
    assert "  lost: log entries 2 to 3, about 2 operations" in run("repair", path=read_only, code=1)


@pytest.mark.slow
def test_a_damaged_table(copy: Path) -> None:
    """Damage in one item leaves the others alone."""
    import sqlite3

    connection = sqlite3.connect(copy / "table.sqlite")
    connection.execute("UPDATE items SET value = replace(value, 'whole', 'while') WHERE sk = 'STATE'")
    connection.commit()
    connection.close()
    lines = run("verify", path=copy, code=1)
    assert any(line.startswith("item 'C#") and "does not match its checksum" in line for line in lines)
    assert any("whole" in line and line.endswith(": damaged") for line in lines)
    shown = run("repair", path=copy, code=1)
    assert any(line.startswith("  cannot be repaired: ") for line in shown)
