"""`afterglow verify`."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import run_command
from tests.support.server import running
from tests.support.wire import Wire

PROGRAM = Path(sys.executable).with_name("afterglow")


def verify(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command("verify", *arguments)


@pytest.mark.slow
def test_every_collection_or_one_while_a_server_runs(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with running(path) as server, server.client() as client:
        wire = Wire(client)
        one = wire.create("one")
        wire.create("two")
        wire.write(one, "add", {"ids": ["a", "b"], "embeddings": [[1, 2], [3, 4]]})
        done = verify("--path", str(path))
        assert (done.returncode, done.stderr) == (0, "")
        first, second = done.stdout.splitlines()
        assert first.startswith("default_tenant/default_database/one: 2 records, ")
        assert first.endswith(": ok")
        assert second.startswith("default_tenant/default_database/two: 0 records, 0 segments")
        assert verify("one", "--path", str(path)).stdout.count("\n") == 1
        assert verify(one, "--path", str(path)).stdout.count("\n") == 1
    missing = verify("nosuch", "--path", str(path))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "no collection 'nosuch'" in missing.stderr


@pytest.mark.slow
def test_damage_is_printed_and_sets_the_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with running(path) as server, server.client() as client:
        wire = Wire(client)
        one = wire.create("one")
        wire.write(one, "add", {"ids": ["a", "b"], "embeddings": [[1, 2], [3, 4]]})
    run_command("compact", "--path", str(path)).check_returncode()
    (damaged,) = (path / "objects").glob("*/segments/*/vectors")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    done = verify("--path", str(path))
    assert done.returncode == 1
    head, problem, advice = done.stdout.splitlines()
    assert head.endswith(": damaged")
    assert problem == f"  object {damaged.relative_to(path / 'objects')} does not match its checksum"
    assert "`afterglow repair`" in advice
