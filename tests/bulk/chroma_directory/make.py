"""Makes `fixtures/directories.tar.xz`: a directory filled by each generation of Chroma, and what it returned of it.

Also `fixtures/two_writers.tar.xz`: directories to which two processes wrote at once.
`python -m tests.bulk.chroma_directory.make` installs every version in a scratch environment, by uv.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSIONS = ("0.4.24", "0.5.23", "0.6.3", "1.0.20", "1.5.9")
ARCHIVE = Path(__file__).with_name("fixtures") / "directories.tar.xz"
TOGETHER_ARCHIVE = ARCHIVE.with_name("two_writers.tar.xz")
FILL, TOGETHER = Path(__file__).with_name("fill.py"), Path(__file__).with_name("write_together.py")


def install(version: str, folder: Path) -> Path:
    """The interpreter of a new environment with this version of Chroma."""
    uv, environment = Path(sys.executable).with_name("uv"), folder / "environments" / version
    python = environment / "bin" / "python"
    requirements = [f"chromadb=={version}", *(["numpy<2"] if version.startswith("0.") else [])]
    subprocess.run([uv, "venv", "-q", "--python", "3.11", environment], check=True)
    subprocess.run([uv, "pip", "install", "-q", "--python", python, *requirements], check=True)
    return python


def make(python: Path, version: str, folder: Path) -> None:
    """Fill `folder/VERSION`, and write what Chroma returns to `folder/VERSION.json`."""
    filled = subprocess.run([python, FILL, folder / version], check=True, stdout=subprocess.PIPE)
    (folder / f"{version}.json").write_bytes(filled.stdout)


def make_together(python: Path, directory: Path) -> None:
    """Fill a directory by two processes."""
    writers = [subprocess.Popen([python, TOGETHER, directory, name]) for name in ("a", "b")]
    for writer in writers:
        writer.wait()


def main() -> None:
    """Make the archives."""
    with (
        tempfile.TemporaryDirectory() as name,
        tarfile.open(ARCHIVE, "w:xz", preset=9) as archive,
        tarfile.open(TOGETHER_ARCHIVE, "w:xz", preset=9) as together,
    ):
        for version in VERSIONS:
            python = install(version, Path(name))
            make(python, version, Path(name))
            archive.add(Path(name) / version, version)
            archive.add(Path(name) / f"{version}.json", f"{version}.json")
            make_together(python, Path(name) / "together")
            together.add(Path(name) / "together", version)
            shutil.rmtree(Path(name) / "together")
            for writer in Path(name).glob("together.*"):
                writer.unlink()


if __name__ == "__main__":
    main()
