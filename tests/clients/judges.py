"""The genuine clients' environments, and how to have one run a program of this directory."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SECONDS = 120


def python(judge: str, program: str, *arguments: str) -> Any:
    """What a program of this package prints as JSON, run by the Python of an environment that the Makefile made."""
    interpreter = ROOT / f".venv-clients-{judge}" / "bin" / "python"
    assert interpreter.exists(), f"{interpreter} is missing: `make test-clients` makes it"
    return _printed([str(interpreter), "-W", "ignore", "-m", f"tests.clients.{program}", *arguments])


def node(judge: str, program: str, *arguments: str) -> Any:
    """What a program prints as JSON, run by node beside the packages of a directory below `typescript`."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, so that the TypeScript clients cannot be had")
    folder = HERE / "typescript" / judge
    assert (folder / "node_modules").exists(), f"{folder}/node_modules is missing: `make test-clients` makes it"
    return _printed(["node", str(folder / program), *arguments])


def _printed(command: list[str]) -> Any:
    # A judge must not take what it is from the caller's environment.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CHROMA_", "PYTHON"))}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT,
        env=env,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-4000:]}"
    return json.loads(done.stdout)
