"""`afterglow export`, `dump` and `load`, as programs."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.support.commands import run_command
from tests.support.server import running
from tests.support.wire import Wire

PROGRAM = Path(sys.executable).with_name("afterglow")


def afterglow(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments)


def fill(wire: Wire) -> None:
    one = wire.create("one", metadata={"about": "one"})
    wire.write(one, "add", {"ids": ["a", "b"], "embeddings": [[1, 2], [3, 4]], "metadatas": [{"n": 1}, {"n": 1.0}]})


@pytest.mark.slow
def test_a_collection_of_a_directory_and_of_a_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as server, server.client() as client:
        fill(Wire(client))
        url = f"http://{server.host}:{server.port}"
        local = afterglow("export", "one", str(tmp_path / "local.jsonl"), "--path", str(data))
        assert (local.returncode, local.stderr) == (0, "")
        assert local.stdout == f"{tmp_path}/local.jsonl: 2 records, 0.0 MB; sidecar file: local.jsonl.import.json\n"
        remote = afterglow("export", "one", str(tmp_path / "remote.jsonl"), "--url", url)
        assert (remote.returncode, remote.stderr) == (0, "")
        assert (tmp_path / "local.jsonl").read_bytes() == (tmp_path / "remote.jsonl").read_bytes()
        sidecars = [orjson.loads((tmp_path / f"{name}.jsonl.import.json").read_bytes()) for name in ("local", "remote")]
        assert sidecars[0] == sidecars[1]
        assert sidecars[0]["collection_metadata"] == {"about": "one"}
        into = afterglow("import", str(tmp_path / "local.jsonl"), "--collection", "two", "--url", url)
        assert into.returncode == 0, into.stderr
        again = afterglow("export", "two", str(tmp_path / "again.jsonl"), "--url", url)
        assert again.returncode == 0
        assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()
    missing = afterglow("export", "nosuch", str(tmp_path / "x.parquet"), "--path", str(data))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "no collection 'nosuch'" in missing.stderr
    assert not (tmp_path / "x.parquet").exists()
    existing = afterglow("export", "one", str(tmp_path / "local.jsonl"), "--path", str(data))
    assert existing.stderr == f"afterglow: {tmp_path}/local.jsonl is there already\n"


@pytest.mark.slow
def test_a_database_to_a_directory_and_back(tmp_path: Path) -> None:
    data, copy, other = (str(tmp_path / name) for name in ("data", "copy", "other"))
    with running(tmp_path / "data") as server, server.client() as client:
        fill(Wire(client))
        dumped = afterglow("dump", "default_database", copy, "--path", data)
        assert (dumped.returncode, dumped.stderr) == (0, "")
        assert dumped.stdout.startswith(f"{copy}: 1 collections, ")
    loaded = afterglow("load", copy, "--path", other, "--database", "restored")
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert loaded.stdout.startswith("default_tenant/restored: 1 collections loaded, ")
    verified = afterglow("verify", "--path", other)
    assert "default_tenant/restored/one: 2 records" in verified.stdout
    nowhere = afterglow("load", str(tmp_path / "nowhere"), "--path", other)
    assert nowhere.stderr == f"afterglow: {tmp_path}/nowhere: no such directory\n"
