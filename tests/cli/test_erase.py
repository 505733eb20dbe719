"""`erase` and `erasures`: a request, its report, and that `verify` checks it."""

from pathlib import Path

import pytest

from tests.support.commands import run_command
from tests.support.server import running
from tests.support.wire import Wire

pytestmark = pytest.mark.slow


def test_records_are_erased_from_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with running(path) as server, server.client() as client:
        wire = Wire(client)
        one = wire.create("one")
        metadatas = [{"user": 17}, {"user": 18}, {"user": 17}]
        wire.write(one, "add", {"ids": ["a", "b", "c"], "embeddings": [[1, 2]] * 3, "metadatas": metadatas})
        refused = run_command("erase", "one", "a", "--path", str(path))
        assert (refused.returncode, "asks for --yes" in refused.stderr) == (2, True)
        for bad in ("{bad", "[1]", "{}", '{"user": {"$near": 1}}'):
            refused = run_command("erase", "one", "--where", bad, "--yes", "--path", str(path))
            assert refused.returncode in (1, 2)
            assert refused.stderr.startswith("afterglow: ")
            assert refused.stderr.count("\n") == 1
        assert run_command("erasures", "--path", str(path)).stdout == "no erasure was requested\n"
        refused = run_command("erasures", "--delete-versions", "--path", str(path))
        assert (refused.returncode, "needs --aws" in refused.stderr) == (2, True)
        done = run_command("erase", "one", "--where", '{"user": 19}', "--yes", "--path", str(path))
        assert (done.returncode, done.stdout) == (0, "no record is selected: nothing is erased\n")
        done = run_command("erase", "one", "--where", '{"user": 17}', "--yes", "--path", str(path))
        assert (done.returncode, done.stderr) == (0, "")
        assert ": 2 records deleted, erased by " in done.stdout
        assert wire.get(one)["ids"] == ["b"]
    shown = run_command("erasures", "--path", str(path))
    assert f": 2 records of collection {one}, requested " in shown.stdout
    verified = run_command("verify", "--path", str(path))
    assert (verified.returncode, "late" in verified.stdout) == (0, False)
    late = {"AFTERGLOW_ERASE_SECONDS": "0", "AFTERGLOW_FLUSH_IDLE_SECONDS": "1000"}
    done = run_command("erase", "one", "b", "--yes", "--path", str(path), env=late)
    assert done.returncode == 0, done.stderr
    verified = run_command("verify", "--path", str(path))
    assert (verified.returncode, " is late: it is rewriting" in verified.stdout) == (1, True)
