"""docs/quickstarts.md: its Python and its curl print what the page says; tests/clients runs the others."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.quickstarts import programs
from tests.support.onnx_files import write_model
from tests.support.server import Server, running

PROGRAMS = programs()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("quickstarts")
    env = {"AFTERGLOW_EMBEDDING_MODEL_DIR": str(write_model(folder / "model"))}
    with running(folder / "data", env=env) as server:
        yield server


def test_every_section_has_a_program() -> None:
    assert list(PROGRAMS) == ["Once: the model", "Python", "TypeScript", "curl", "LangChain", "LlamaIndex"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("heading", "command"),
    [
        ("Once: the model", ["bash", "-e", "-c"]),
        ("Python", [sys.executable, "-W", "ignore", "-c"]),
        ("curl", ["bash", "-e", "-c"]),
    ],
)
def test_a_program_prints_what_the_page_says(server: Server, tmp_path: Path, heading: str, command: list[str]) -> None:
    program, output = PROGRAMS[heading]
    command = [*command, program.replace("8000", str(server.port))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == output.strip()
