"""docs/quickstarts.md: the programs for TypeScript, LangChain and LlamaIndex print what the page says."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.clients.judges import HERE, ROOT, SECONDS
from tests.docs.quickstarts import programs
from tests.support.onnx_files import write_model
from tests.support.server import Server, running

pytestmark = pytest.mark.clients

PROGRAMS = programs()
FRAMEWORKS = ROOT / ".venv-clients-frameworks" / "bin" / "python"


@pytest.fixture(scope="module")
def embedding_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("quickstarts")
    env = {"AFTERGLOW_EMBEDDING_MODEL_DIR": str(write_model(folder / "model"))}
    with running(folder / "data", env=env) as server:
        yield server


def run(command: Sequence[str], heading: str, server: Server, folder: Path) -> str:
    """What a section's program prints."""
    program = PROGRAMS[heading][0].replace("8000", str(server.port))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CHROMA_", "PYTHON"))}
    done = subprocess.run(
        [*command, program], capture_output=True, text=True, timeout=SECONDS, cwd=folder, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("heading", ["LangChain", "LlamaIndex"])
def test_a_framework(heading: str, embedding_server: Server, tmp_path: Path) -> None:
    command = [str(FRAMEWORKS), "-W", "ignore", "-c"]
    assert run(command, heading, embedding_server, tmp_path) == PROGRAMS[heading][1]


def test_typescript(embedding_server: Server) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: the TypeScript client cannot be tested")
    command = ["node", "--input-type=module", "--eval"]
    folder = HERE / "typescript" / "v2"
    assert run(command, "TypeScript", embedding_server, folder) == PROGRAMS["TypeScript"][1]
