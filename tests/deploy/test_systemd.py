"""The systemd units: checked by systemd-analyze, and the server under their system call filter."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from afterglow.cli.main import parser
from tests.deploy import confined
from tests.docs.generated import ROOT
from tests.support.server import HOST, afterglow_command, free_port, script, spawn, wait_until_ready

pytestmark = pytest.mark.slow

DEPLOY = ROOT / "deploy"
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])
SERVICE = DEPLOY / "afterglow.service"
INSTALLED = "/opt/afterglow/bin/afterglow"
MOST_EXPOSED = 1.5

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def seccomp_is_installed() -> bool:
    try:
        confined.library()
    except OSError:
        return False
    return True


def units(folder: Path) -> list[Path]:
    """Copies of the units that start the program of this environment instead of an installed one."""
    for unit in UNITS:
        (folder / unit.name).write_text(unit.read_text().replace(INSTALLED, script("afterglow")))
    return sorted(folder.iterdir())


def test_the_units() -> None:
    assert [unit.name for unit in UNITS] == ["afterglow-backup.service", "afterglow-backup.timer", "afterglow.service"]


@needs_systemd
def test_systemd_verifies_them(tmp_path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units(tmp_path)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "afterglow" in line]
    assert (done.returncode, ours) == (0, [])


@needs_systemd
@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_the_exposure_level_is_low(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    (level,) = re.findall(r"Overall exposure level for \S+ ([\d.]+)", done.stdout)
    assert float(level) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_their_command_lines_are_valid(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    program, *arguments = line.split()
    assert program == INSTALLED
    args = parser().parse_args(arguments)
    assert str(args.path) == "/var/lib/afterglow"


@needs_systemd
@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not seccomp_is_installed(), reason="libseccomp is not installed"
)
def test_the_server_works_under_the_system_call_filter(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "tests.deploy.confined", str(SERVICE)]
    command += afterglow_command(tmp_path / "data", port, ["--workers", "2"])
    server = spawn(command, tmp_path / "data", port, {"AFTERGLOW_FLUSH_IDLE_SECONDS": "0.2", "PYTHONPATH": str(ROOT)})
    try:
        wait_until_ready(server)
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        assert "Seccomp:\t2" in status
        client = chromadb.HttpClient(host=HOST, port=port)
        things = client.create_collection("things", embedding_function=None)
        # Enough for an HNSW graph, which the index worker process builds.
        vectors = np.random.default_rng(7).standard_normal((5_000, 8)).astype(np.float32)
        things.add(
            ids=[str(row) for row in range(5_000)],
            embeddings=vectors,
            documents=[f"thing {row}" for row in range(5_000)],
            metadatas=[{"at": row} for row in range(5_000)],
        )
        deadline = time.monotonic() + 30
        while things.get_indexing_status().num_unindexed_ops:
            assert time.monotonic() < deadline, server.printed()
            time.sleep(0.1)
        above: Any = {"at": {"$gt": 10}}
        below: Any = {"at": {"$lt": 4_000}}
        result = things.query(query_embeddings=vectors[42:43], n_results=3, where=above)
        assert result["ids"][0][0] == "42"
        assert things.get(where_document={"$regex": r"^thing 42$"})["ids"] == ["42"]
        assert things.get(where_document={"$contains": "thing 4999"})["ids"] == ["4999"]
        things.delete(where=below)
        assert things.count() == 1_000
        server.process.terminate()
        assert server.process.wait(30) == 0
    finally:
        server.kill()
    assert "not permitted" not in server.printed()
    assert " ERROR " not in server.printed()
