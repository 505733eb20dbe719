"""`afterglow compact`."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import run_command
from tests.support.server import running
from tests.support.wire import Refused, Wire

PROGRAM = Path(sys.executable).with_name("afterglow")


def compact(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command("compact", *arguments)


@pytest.mark.slow
def test_every_collection_or_one_by_name_or_id(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with running(path, env={"AFTERGLOW_FLUSH_IDLE_SECONDS": "1000"}) as server, server.client() as client:
        wire = Wire(client)
        one, two = (wire.create(name) for name in ("one", "two"))
        for collection in (one, two):
            wire.write(collection, "add", {"ids": ["a", "b"], "embeddings": [[1, 2], [3, 4]]})
        # While a server has the directory open.
        done = compact("one", "--path", str(path))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{one}: 2 operations flushed")
        assert len(done.stdout.splitlines()) == 1
        assert (wire.unindexed(one), wire.unindexed(two)) == (0, 2)
        assert compact(two, "--path", str(path)).stdout.startswith(f"{two}: 2 operations flushed")
        wire.delete(one, {"ids": ["a"]})
    done = compact("--path", str(path))
    assert done.returncode == 0
    assert sorted(line.split()[1] for line in done.stdout.splitlines()) == ["0", "1"]


@pytest.mark.slow
def test_missing_directory_and_collection(tmp_path: Path) -> None:
    done = compact("--path", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"afterglow: {tmp_path}: not a data directory, it has no table.sqlite\n"
    with running(tmp_path / "data"):
        pass
    done = compact("nosuch", "--path", str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "no collection 'nosuch' in database 'default_database'" in done.stderr


def test_the_past_is_shown_and_dropped_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with running(path, env={"AFTERGLOW_FLUSH_IDLE_SECONDS": "1000"}) as server, server.client() as client:
        wire = Wire(client)
        one = wire.create("one")
        record = {"ids": ["a"], "embeddings": [[0.5] * 50_000]}
        wire.write(one, "upsert", record)
        compact("--path", str(path))
        wire.write(one, "upsert", record)
        done = compact("--path", str(path))
        assert done.stdout.endswith(" 0.2 MB, its past 0.4 MB\n"), done.stdout
        done = compact("--path", str(path), "--forget")
        assert done.stdout.endswith(" 0.2 MB, its past 0.0 MB\n"), done.stdout
        assert wire.get(one)["ids"] == ["a"]
        with pytest.raises(Refused, match="outside the retention window"):
            wire.call("POST", f"/collections/{one}/get?at=1", {})
