"""The layers: small enough, and for the processor that was asked for."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from tests.infra.templates import ROOT
from tests.support.deployment import ARCHITECTURE, SAM

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

MOST_BYTES, MOST_OF_IMPORTER, MOST_OF_EMBEDDER = 200 * 1024 * 1024, 235 * 1024 * 1024, 240 * 1024 * 1024
"""Lambda takes 250 MB."""
LAYERS = {
    "dependencies": "DependenciesLayer",
    "afterglow": "AfterglowLayer",
    "imports": "ImportsLayer",
    "embedding": "EmbeddingLayer",
}
IMPORTS = re.compile(r"_?duckdb.*|backports.*|adbc.*")
EMBEDDING = re.compile(r"onnxruntime.*|tokenizers.*")
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
ELF_MACHINES = {"arm64": 0xB7, "x86_64": 0x3E}


@pytest.fixture(scope="module", params=sorted(MACHINES))
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def layers(architecture: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All layers in one folder; a function finds in /opt the first two, the importer and the embedder one more each."""
    into = tmp_path_factory.mktemp(architecture)
    if architecture == ARCHITECTURE:
        # `sam build` runs the same makefiles.
        build: Path = request.getfixturevalue("build")
        for target in LAYERS.values():
            shutil.copytree(build / target, into, dirs_exist_ok=True, copy_function=os.link)
        return into / "python"
    for folder, target in LAYERS.items():
        subprocess.run(
            ["make", "--silent", f"build-{target}"],
            cwd=ROOT / "layers" / folder,
            env={
                **os.environ,
                "PATH": f"{SAM.parent}{os.pathsep}{os.environ['PATH']}",
                "ARTIFACTS_DIR": str(into),
                "ARCHITECTURE": architecture,
            },
            check=True,
        )
    return into / "python"


def _package(layers: Path, file: Path) -> str:
    """The package that a file belongs to; of a function nothing."""
    return file.relative_to(layers).parts[0] if file.is_relative_to(layers) else ""


def test_they_fit(layers: Path) -> None:
    sources = [path for path in (ROOT / "functions").rglob("*") if "__pycache__" not in path.parts]
    files = [path for path in [*layers.rglob("*"), *sources] if path.is_file()]
    total = sum(file.stat().st_size for file in files)
    imports, embedding = (
        sum(file.stat().st_size for file in files if own.match(_package(layers, file))) for own in (IMPORTS, EMBEDDING)
    )
    shared = total - imports - embedding
    sizes = [shared, shared + imports, shared + embedding]
    print("all, the importer, the embedder:", [f"{size / 2**20:.0f} MB" for size in sizes])
    assert sizes[0] <= MOST_BYTES
    assert sizes[1] <= MOST_OF_IMPORTER
    assert sizes[2] <= MOST_OF_EMBEDDER


def test_every_wheel_is_for_the_processor(layers: Path, architecture: str) -> None:
    wheels = list(layers.glob("*.dist-info/WHEEL"))
    files = ("dependencies/requirements-layer.txt", "imports/requirements.txt", "embedding/requirements.txt")
    lines = [line for file in files for line in (ROOT / "layers" / file).read_text().splitlines()]
    pinned = [line for line in lines if "==" in line and "win32" not in line]
    assert len(wheels) == len(pinned)
    for wheel in wheels:
        for tag in re.findall(r"^Tag: (.*)$", wheel.read_text(), re.MULTILINE):
            platform = tag.rpartition("-")[2]
            assert platform == "any" or platform.endswith(f"_{MACHINES[architecture]}"), f"{wheel.parent.name}: {tag}"


def test_every_library_is_for_the_processor(layers: Path, architecture: str) -> None:
    libraries = [path for path in layers.rglob("*") if path.is_file() and re.search(r"\.so(\.|$)", path.name)]
    assert len(libraries) > 20
    for library in libraries:
        with library.open("rb") as file:
            header = file.read(20)
        assert header[:4] == b"\x7fELF", library
        assert int.from_bytes(header[18:20], "little") == ELF_MACHINES[architecture], library


def test_unused_files_are_left_out(layers: Path) -> None:
    services = sorted(path.name for path in (layers / "botocore" / "data").iterdir() if path.is_dir())
    assert services == ["bedrock-runtime", "dynamodb", "lambda", "s3", "sqs", "sts", "xray"]
    for pattern in ("*.pyi", "*.pyx", "*.h", "tests", "*.egg-info"):
        assert not list(layers.rglob(pattern)), pattern
    assert not (layers / "afterglow" / "cli" / "sample").exists()


def test_modules_are_compiled_and_not_compared_with_their_sources(layers: Path) -> None:
    version = subprocess.run(
        [SAM.parent / "python", "-c", "import sys; print(sys.version_info[:2] == (3, 13))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout == "True\n", "make .venv-sam/.ready with Python 3.13"
    sources = [path for path in layers.rglob("*.py") if path.stem.isidentifier()]
    for source in sources:
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        assert compiled.exists(), source
        header = compiled.read_bytes()[:8]
        assert int.from_bytes(header[4:8], "little") == 0b01, "neither by hash nor by time"
        if sys.version_info[:2] == (3, 13):
            assert header[:4] == MAGIC_NUMBER
