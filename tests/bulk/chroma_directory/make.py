"""Makes `fixtures/directories.tar.xz`: a directory filled by each generation of Chroma, and what it returned of it.

`python -m tests.bulk.chroma_directory.make` installs every version in a scratch environment, by uv.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSIONS = ("0.4.24", "0.5.23", "0.6.3", "1.0.20", "1.5.9")
ARCHIVE = Path(__file__).with_name("fixtures") / "directories.tar.xz"
FILL = Path(__file__).with_name("fill.py")


def make(version: str, folder: Path) -> None:
    """Fill `folder/VERSION`, and write what Chroma returns to `folder/VERSION.json`."""
    uv, environment = Path(sys.executable).with_name("uv"), folder / "environments" / version
    python = environment / "bin" / "python"
    requirements = [f"chromadb=={version}", *(["numpy<2"] if version.startswith("0.") else [])]
    subprocess.run([uv, "venv", "-q", "--python", "3.11", environment], check=True)
    subprocess.run([uv, "pip", "install", "-q", "--python", python, *requirements], check=True)
    filled = subprocess.run([python, FILL, folder / version], check=True, stdout=subprocess.PIPE)
    (folder / f"{version}.json").write_bytes(filled.stdout)


def main() -> None:
    """Make the archive."""
    with tempfile.TemporaryDirectory() as name, tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
        for version in VERSIONS:
            make(version, Path(name))
            archive.add(Path(name) / version, version)
            archive.add(Path(name) / f"{version}.json", f"{version}.json")


if __name__ == "__main__":
    main()
