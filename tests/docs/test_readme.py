"""README.md: every block runs as it stands, in order, in a fresh copy of the repository with a server on a free port.

The copy has this environment as its `.venv`, so `pip install` lines only have to name what is installed here. `make
test` is checked with `--dry-run`; blocks marked `no-run` need Docker or an AWS account.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.docs.generated import README, ROOT
from tests.docs.run_blocks import Block, blocks
from tests.support.onnx_files import write_model
from tests.support.server import Server, free_port, wait_until_ready

COPIED = ("Makefile", "README.md", "pyproject.toml", "layers")
RUNNABLE = [block for block in blocks(README) if block.mark != "no-run"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh copy of the repository whose `.venv` is this environment, up to date for make."""
    copy = tmp_path / "afterglow"
    copy.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(source, copy / name)
    environment = copy / ".venv"
    environment.mkdir()
    for path in Path(sys.prefix).iterdir():
        if not path.name.startswith(".ready"):
            (environment / path.name).symlink_to(path)
    (environment / ".ready").touch()
    (environment / ".ready-dev").touch()
    return copy


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(checkout: Path, port: int) -> Iterator[None]:
    """`make run` in the copy, on a free port."""
    output = checkout.parent / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["make", "run", f"ARGS=--port {port}"],
            cwd=checkout,
            env={
                **os.environ,
                "PYTHONPATH": str(checkout / "layers" / "afterglow"),
                "AFTERGLOW_EMBEDDING_MODEL_DIR": str(write_model(checkout.parent / "model")),
            },
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_until_ready(Server(process, port, checkout / "data", output))
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.mark.slow
def test_every_block_runs(checkout: Path, port: int, server: None) -> None:
    languages = [block.language for block in RUNNABLE]
    assert languages.count("python") == 1
    printed = ""
    for block in RUNNABLE:
        if block.language == "text":
            assert printed.splitlines() == block.code.splitlines()
        elif block.language == "python":
            printed = run([str(checkout / ".venv/bin/python"), "-c", with_port(block, port)], checkout)
        else:
            assert block.language == "sh"
            lines = [with_port(block, port)] if block.mark == "script" else block.code.splitlines()
            printed = "".join(run_line(line, checkout, port) for line in lines)


def run_line(line: str, checkout: Path, port: int) -> str:
    """Run one shell line of a block; installations and servers are checked, not repeated."""
    words = shlex.split(line, comments=True)
    if words[:2] == ["make", "run"]:
        return ""
    if words[:2] == ["make", "test"]:
        return run(["make", "--dry-run", "test"], checkout)
    if "pip" in words[0]:
        assert words[0] == ".venv/bin/pip"
        for requirement in words[2:]:
            name = re.split(r"[<>=\[]", requirement)[0]
            assert is_installed(name), requirement
        return ""
    return run(["bash", "-e", "-c", line.replace("8000", str(port))], checkout)


def is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def with_port(block: Block, port: int) -> str:
    return block.code.replace("8000", str(port))


def run(command: list[str], folder: Path) -> str:
    """What a command prints; a failure shows the rest."""
    result = subprocess.run(
        command,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder.parent),
            "ANONYMIZED_TELEMETRY": "False",
            "PYTHONPATH": str(folder / "layers" / "afterglow"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout
