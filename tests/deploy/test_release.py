"""`make release` in a copy of the sources: what it builds, and what it refuses."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from afterglow import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SECTION = f"## Unreleased\n\n## {__version__}\n"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The tracked files, committed, with a section of the changelog for this version."""
    copy = tmp_path / "sources"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    changelog = copy / "CHANGELOG.md"
    if f"\n## {__version__}\n" not in changelog.read_text():
        changelog.write_text(re.sub(r"^## Unreleased\n", SECTION, changelog.read_text(), flags=re.MULTILINE))
    git(copy, "init", "--quiet")
    commit(copy)
    return copy


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.org"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a release")


def release(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["bash", ".ci/release", str(Path(sys.executable).parent)]
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "GIT_COMMITTER_NAME": "tests",
        "GIT_COMMITTER_EMAIL": "tests@example.org",
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_release_is_built_checked_and_tagged_once(sources: Path) -> None:
    done = release(sources)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"tagged v{__version__}" in done.stdout
    assert git(sources, "tag").split() == [f"v{__version__}"]
    built = {path.name for path in (sources / "dist").iterdir()}
    assert built == {f"afterglow_db-{__version__}-py3-none-any.whl", f"afterglow_db-{__version__}.tar.gz"}
    again = release(sources)
    assert again.returncode == 1
    assert "exists" in again.stderr


def test_a_release_needs_a_clean_tree_and_a_section_of_the_changelog(sources: Path) -> None:
    (sources / "new").write_text("")
    assert "not clean" in release(sources).stderr
    (sources / "new").unlink()
    changelog = sources / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace(f"## {__version__}\n", ""))
    commit(sources)
    assert "no section" in release(sources).stderr
    assert git(sources, "tag") == ""
