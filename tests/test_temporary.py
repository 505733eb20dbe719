"""Temporary folders: removed when closed, and after a kill by whoever makes the next one; nothing else is."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from afterglow import temporary
from afterglow.temporary import Purpose, TemporaryFolder, remove_abandoned

HOLD = """
import sys
from afterglow import temporary
from afterglow.temporary import Purpose, TemporaryFolder
folder = TemporaryFolder(Purpose.METRICS)
(folder.path / "file").write_text("content")
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_private_and_goes_when_closed(folder: Path) -> None:
    with TemporaryFolder(Purpose.READ) as temporary:
        assert temporary.path.parent == folder
        assert temporary.path.stat().st_mode & 0o777 == 0o700
        (temporary.path / "inner").mkdir()
        (temporary.path / "inner" / "file").write_text("content")
    assert list(folder.iterdir()) == []
    temporary.close()


def test_a_folder_in_use_stays() -> None:
    with TemporaryFolder(Purpose.RESCUE) as first, TemporaryFolder(Purpose.RESCUE) as second:
        remove_abandoned()
        assert first.path.is_dir()
        assert second.path.is_dir()


def test_the_folder_of_a_killed_process_is_removed(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    with process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        remove_abandoned()
        assert left.is_dir(), "it is in use"
        process.send_signal(signal.SIGKILL)
    assert left.is_dir()
    remove_abandoned()
    assert not left.exists()


def test_nothing_else_is_removed(folder: Path) -> None:
    names = ["afterglow-read.short", "afterglow-other.12345678", "read.12345678", "afterglow-read.123456789"]
    for name in names:
        (folder / name).mkdir()
    (folder / "afterglow-read.abcdefgh").write_text("a file")
    victim = folder / "victim"
    victim.mkdir()
    (victim / "file").write_text("content")
    (folder / "afterglow-read.12345678").symlink_to(victim)
    before = sorted(folder.iterdir())
    remove_abandoned()
    assert sorted(folder.iterdir()) == before
    assert (victim / "file").read_text() == "content"


def test_a_link_inside_is_not_followed(folder: Path) -> None:
    victim = folder / "victim"
    victim.mkdir()
    (victim / "file").write_text("content")
    left = folder / "afterglow-demo.12345678"
    left.mkdir()
    (left / "link").symlink_to(victim)
    remove_abandoned()
    assert not left.exists()
    assert (victim / "file").exists()


def test_a_folder_removed_before_it_was_locked_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, made = tempfile.mkdtemp, []

    def removed_at_once(prefix: str) -> str:
        path = make(prefix=prefix)
        made.append(path)
        if len(made) == 1:
            remove_abandoned()
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", removed_at_once)
    with TemporaryFolder(Purpose.IMPORT) as temporary:
        assert len(made) == 2
        assert [str(temporary.path)] == made[1:]
        assert list(folder.iterdir()) == [temporary.path]


def test_a_folder_that_goes_while_it_is_listed_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process closes its own in this moment."""
    going, abandoned = folder / "afterglow-import.going", folder / "afterglow-import.abandoned"
    going.mkdir()
    abandoned.mkdir()

    class Pattern:
        def fullmatch(self, name: str) -> bool:
            if name == going.name:
                going.rmdir()
            return True

    monkeypatch.setattr(temporary, "_NAME", Pattern())
    remove_abandoned()
    assert list(folder.iterdir()) == []


def test_a_directory_that_cannot_be_listed_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "gone"))
    remove_abandoned()
