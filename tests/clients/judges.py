"""The environments of Chroma's released clients, which run the programs of this directory."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SECONDS = 280


def python(judge: str, program: str, *arguments: str) -> Any:
    """The JSON that a program of this package prints, run in the environment of one Python client."""
    interpreter = ROOT / f".venv-clients-{judge}" / "bin" / "python"
    assert interpreter.exists(), f"{interpreter} is missing: `make test-clients` makes it"
    return _run([str(interpreter), "-W", "ignore", "-m", f"tests.clients.{program}", *arguments])


def node(judge: str, program: str, *arguments: str) -> Any:
    """The JSON that a program prints, run by node in the folder of one TypeScript client."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: the TypeScript clients cannot be tested")
    folder = HERE / "typescript" / judge
    assert (folder / "node_modules").exists(), f"{folder}/node_modules is missing: `make test-clients` makes it"
    return _run(["node", str(folder / program), *arguments])


def _run(command: list[str]) -> Any:
    # The environment of the tests must not configure the client.
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
